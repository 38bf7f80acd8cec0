import { shardNumberOf, storageIdOf } from '../../lib/resources/names.ts';
import type { Shard, StorageNode } from '../../lib/resources/types.ts';
import type { ControllerDeps } from '../deps.ts';
import { SECRETS } from '../names.ts';
import type { RegionView } from '../region-view.ts';
import { missingNameservice } from '../secrets/nameservice-secret.ts';
import { missingNodeTokens } from '../secrets/node-tokens.ts';
import { missingPoseidon } from '../secrets/poseidon-key.ts';
import { missingPostgres } from '../secrets/postgres-secret.ts';
import { missingRegionKey, readRegionKey } from '../secrets/region-key.ts';
import { missingSelfSigned } from '../secrets/self-signed.ts';
import { etcdUsers } from './nameservice/access.ts';
import { nameserviceNames } from './nameservice/objects.ts';
import type { RegionSecrets } from './snapshot.ts';

/** Objects that Secrets hold something for. */
export interface SecretHolders {
  readonly shards: readonly { readonly metadata: { readonly name: string }; readonly spec: Shard['spec'] }[];
  readonly storageNodes: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: StorageNode['spec'];
  }[];
}

/**
 * Makes the region's Secrets complete (operations.md §5.4) and returns them. Entries that are there stay as they are, but for
 * certificates that end and tokens that are spent. Throws ApiError, and MantaError `SecretChanged` for a lost race.
 */
export async function completeSecrets(
  deps: Pick<ControllerDeps, 'secrets' | 'clients' | 'clock'>,
  view: RegionView,
  holders: SecretHolders,
  signal: AbortSignal,
): Promise<RegionSecrets> {
  const { secrets, clock } = deps;
  const { namespace, spec } = view;
  const nowMs = clock.now();
  const key = (name: string) => ({ namespace, name });
  const numbers = holders.shards.map(({ metadata }) => shardNumberOf(metadata.name));
  const users = ['root', ...etcdUsers(numbers).map(({ name }) => name)];

  const regionKey = await secrets.complete(key(SECRETS.regionKey), missingRegionKey, { signal });
  const nameservice = await secrets.complete(
    key(SECRETS.nameservice),
    found => missingNameservice(found, { dnsNames: nameserviceNames(view), users }, nowMs),
    { signal },
  );
  await secrets.complete(key(SECRETS.postgres), found => missingPostgres(found, numbers), { signal });
  const poseidon = await secrets.complete(key(SECRETS.poseidon), missingPoseidon, { signal });
  if (spec.frontDoor.tls.secretName === undefined) {
    const { hostnames } = spec.frontDoor;
    const type = 'kubernetes.io/tls';
    await secrets.complete(key(SECRETS.tls), found => missingSelfSigned(found, hostnames, nowMs), { type, signal });
  }
  const signer = deps.clients.signer(view, regionKey);
  const kid = readRegionKey(regionKey)?.kid;
  if (signer !== undefined && kid !== undefined) {
    const tokenHolders = holders.storageNodes.map(({ metadata: { name } }) => ({
      name,
      storageId: storageIdOf(name, spec),
    }));
    const missing = (found: Parameters<typeof missingNodeTokens>[0]) =>
      missingNodeTokens(found, tokenHolders, signer, { kid, nowMs });
    await secrets.complete(key(SECRETS.nodeTokens), missing, { signal });
  }
  return { regionKey, nameservice, poseidon };
}
