import type { MantaRegion, MantaRegionSpec, Shard, ShardSpec, StorageNode, StorageNodeSpec } from './types.ts';

/** A region as the API server answers for the shortest dev manifest, with what `spec` sets besides. For tests. */
export function aRegion(spec: Partial<MantaRegionSpec> = {}): MantaRegion {
  return {
    apiVersion: 'manta.io/v1alpha1',
    kind: 'MantaRegion',
    metadata: { name: 'us-east', namespace: 'manta' },
    spec: {
      profile: 'dev',
      regionName: 'us-east',
      domainSuffix: 'example.net',
      zones: ['local'],
      images: { pullPolicy: 'IfNotPresent' },
      paused: false,
      placement: {},
      services: {},
      nameservice: { storage: { size: '8Gi' } },
      shardTemplate: { postgres: {}, storage: { data: { size: '5Gi' }, wal: { size: '2Gi' } } },
      storageTemplate: { volume: { size: '20Gi' } },
      frontDoor: {
        hostnames: ['us-east.manta.example.net'],
        service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
        tls: {},
        throttle: { enabled: false, concurrency: 50, queue: 25 },
      },
      storage: {
        defaultCopies: 2,
        maxCopies: 6,
        multiZone: 'Auto',
        maxUtilizationPercent: 90,
        operatorUtilizationPercent: 92,
      },
      limits: { maxDirectoryEntries: 1_000_000 },
      backup: { target: { type: 'Manta' }, recoveryDays: 14 },
      deletionPolicy: 'Retain',
      ...spec,
    },
  };
}

/** The zones of a region with three. */
export const threeZones = ['us-east-1a', 'us-east-1b', 'us-east-1c'] as const;

/** An index shard as the API server answers for a short manifest, with what `spec` sets besides. For tests. */
export function aShard(spec: Partial<ShardSpec> = {}): Shard {
  return {
    apiVersion: 'manta.io/v1alpha1',
    kind: 'Shard',
    metadata: { name: 'shard-2', namespace: 'manta' },
    spec: {
      databases: ['index'],
      vnodes: 'None',
      peers: 3,
      postgres: {},
      storage: { data: { size: '5Gi' }, wal: { size: '2Gi' } },
      failover: 'auto',
      deletionPolicy: 'Retain',
      ...spec,
    },
  };
}

/** A storage node as the API server answers for a short manifest, with what `spec` sets besides. For tests. */
export function aStorageNode(spec: Partial<StorageNodeSpec> = {}): StorageNode {
  return {
    apiVersion: 'manta.io/v1alpha1',
    kind: 'StorageNode',
    metadata: { name: 'stor-2', namespace: 'manta' },
    spec: { zone: 'local', volume: { size: '20Gi' }, mode: 'ReadWrite', deletionPolicy: 'Retain', ...spec },
  };
}
