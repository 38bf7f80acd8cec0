import type { Stored } from '../../lib/kubernetes/object.ts';
import { storageNumberOf } from '../../lib/resources/names.ts';
import { databasesOf } from '../../lib/resources/profile-defaults.ts';
import type { MantaRegion, Shard, StorageNode } from '../../lib/resources/types.ts';
import { labels, MANAGER } from '../names.ts';
import type { RegionView } from '../region-view.ts';

const API_VERSION = 'manta.io/v1alpha1';

/** What a region's templates are compared with. */
export interface Present {
  readonly view: RegionView;
  readonly region: Stored<MantaRegion>;
  readonly shards: readonly Stored<Shard>[];
  readonly storageNodes: readonly Stored<StorageNode>[];
}

/** The Shards of the template that are not there. An object made by hand counts like any other. operations.md §3.1. */
export function missingShards({ view, shards }: Pick<Present, 'view' | 'shards'>): readonly Shard[] {
  const { count, peers, postgres, storage } = view.spec.shardTemplate;
  if (storage === undefined) return [];
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  return numbers
    .filter(number => !shards.some(({ metadata }) => metadata.name === `shard-${number}`))
    .map(number => {
      const databases = databasesOf(number, count);
      return {
        apiVersion: API_VERSION,
        kind: 'Shard',
        metadata: metadataOf(view, `shard-${number}`),
        spec: {
          databases,
          vnodes: databases.includes('index') ? 'Share' : 'None',
          peers,
          postgres,
          storage,
          failover: 'auto',
          deletionPolicy: 'Retain',
        },
      };
    });
}

/**
 * StorageNodes that the zones lack, numbered on from the highest number ever used, so that a number is never used twice;
 * zones take turns. operations.md §3.2.1.
 */
export function missingStorageNodes({ view, region, storageNodes }: Present): readonly StorageNode[] {
  const { perZone, volume } = view.spec.storageTemplate;
  if (volume === undefined) return [];
  const lacking = view.spec.zones.map(zone => ({
    zone,
    count: Math.max(0, perZone - storageNodes.filter(({ spec }) => spec.zone === zone).length),
  }));
  const rounds = Math.max(0, ...lacking.map(({ count }) => count));
  const zones = Array.from({ length: rounds }, (_, round) => lacking.filter(({ count }) => count > round)).flat();
  const next = nextStorageNumber(region, storageNodes);
  return zones.map(({ zone }, index) => ({
    apiVersion: API_VERSION,
    kind: 'StorageNode',
    metadata: metadataOf(view, `stor-${next + index}`),
    spec: { zone, volume, mode: 'ReadWrite', deletionPolicy: 'Retain' },
  }));
}

/** Highest number of a storage node ever used, plus one. */
export function nextStorageNumber(
  { status }: Pick<MantaRegion, 'status'>,
  storageNodes: readonly Stored<StorageNode>[],
): number {
  const highest = Math.max(0, ...storageNodes.map(({ metadata }) => storageNumberOf(metadata.name)));
  return Math.max(status?.nextStorageNumber ?? 1, highest + 1);
}

function metadataOf({ name, namespace }: RegionView, own: string) {
  return { name: own, namespace, labels: { [labels.region]: name, [labels.managedBy]: MANAGER } };
}
