import { request } from 'undici';
import { z } from 'zod';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Heartbeat } from '../../lib/metadata/types.ts';
import type { StorageConfig } from './config.ts';
import type { Volume } from './volume.ts';

const replySchema = z.object({ nodeNo: z.number().int(), token: z.string().optional() });
const DEADLINE_MS = 4_000;

/**
 * Sends one heartbeat (metadata.md §14.3) and keeps the renewed token of the reply. A volume whose file system does not
 * answer is reported as out of service with no space. Throws MantaError `HeartbeatRefused` or the transport's error.
 */
export function createHeartbeat(
  deps: {
    readonly volume: Volume;
    readonly writesInflight: () => Promise<number>;
    readonly nodeToken: string;
    readonly version: string;
  },
  config: StorageConfig & { readonly baseUrl: string },
): (signal: AbortSignal) => Promise<void> {
  let token = deps.nodeToken;
  return async signal => {
    const body = await describe(deps, config);
    const reply = await request(`${config.webapiUrl}/internal/v1/heartbeat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]),
    });
    const text = await reply.body.text();
    if (reply.statusCode !== 200) {
      throw new MantaError('HeartbeatRefused', `the heartbeat was answered ${reply.statusCode} ${text.slice(0, 200)}`);
    }
    token = replySchema.parse(JSON.parse(text)).token ?? token;
  };
}

async function describe(
  { volume, writesInflight, version }: { volume: Volume; writesInflight: () => Promise<number>; version: string },
  config: StorageConfig & { readonly baseUrl: string },
): Promise<Heartbeat> {
  const capacity = await volume.capacity().catch(() => undefined);
  return {
    storageId: volume.identity.storageId,
    incarnation: volume.identity.incarnation,
    layout: volume.identity.layout,
    baseUrl: config.baseUrl,
    datacenter: config.datacenter,
    failureDomain: config.failureDomain,
    ...(config.computeId === undefined ? {} : { computeId: config.computeId }),
    ...(capacity ?? { totalBytes: 0, availBytes: 0, inodesFree: 0 }),
    writesInflight: await writesInflight(),
    outOfService: capacity === undefined || volume.outOfService() !== undefined,
    version,
  };
}
