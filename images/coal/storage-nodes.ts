import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { signNodeToken } from '../../lib/region-token/region-token.ts';
import { storageConfigSchema } from '../storage/config.ts';
import { createStorageNode, type StorageNode } from '../storage/storage-node.ts';
import type { CoalConfig } from './config.ts';
import { keepPort } from './free-port.ts';
import type { RegionTokens } from './region-tokens.ts';

const COUNT = 3;
const VERSION = 'coal';

/**
 * Starts the storage nodes `storage/1` to `storage/3`, each a failure domain of its own in one zone, on the ports they
 * had before where those are free. Resolves with their ports when webapi has heard of them. Each node is added to
 * `nodes` at once, so that none is forgotten when another one fails.
 */
export async function startStorageNodes(
  deps: { logger: Logger; clock: Clock; tokens: RegionTokens },
  config: CoalConfig & { readonly region: string; readonly webapiUrl: string; readonly ports: readonly number[] },
  nodes: StorageNode[],
): Promise<number[]> {
  const signer = deps.tokens.signerFor('coal/region');
  return Promise.all(
    Array.from({ length: COUNT }, async (_, i) => {
      const storageId = `${i + 1}.stor.${config.region}`;
      const dir = join(config.dir, 'storage', String(i + 1));
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const node = createStorageNode(
        {
          logger: deps.logger.child({ program: 'storage', storageId }),
          registry: new Registry(),
          clock: deps.clock,
          verifier: deps.tokens.verifierFor(`storage/${storageId}`),
          nodeToken: signNodeToken(signer, storageId),
          version: VERSION,
        },
        storageConfigSchema.parse({
          storageId,
          dir,
          port: await keepPort(config.ports[i]),
          datacenter: config.region,
          failureDomain: `storage-${i + 1}`,
          webapiUrl: config.webapiUrl,
          floorBytes: config.floorBytes,
          drainMs: config.drainMs,
        }),
      );
      nodes.push(node);
      const { baseUrl } = await node.listen();
      return Number(new URL(baseUrl).port);
    }),
  );
}
