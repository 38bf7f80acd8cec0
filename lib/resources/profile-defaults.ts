import type { MantaRegionPlacement, MantaRegionSpec, ShardSpec } from './types.ts';

/** What a region is for. */
export type Profile = MantaRegionSpec['profile'];

/** Programs of a region that pods run for. */
export const programs = ['nameservice', 'postgres', 'webapi', 'loadbalancer', 'storage'] as const;
export type Program = (typeof programs)[number];

/** A database that a Shard hosts. */
export type Database = ShardSpec['databases'][number];

/** What one pod is given. Only memory has a limit: a limit of CPU would slow a takeover for nothing. */
export interface DefaultResources {
  readonly memoryMiB: number;
  /** The part of the memory that is requested. */
  readonly requested: number;
  readonly cpu: string;
}

/** What a profile says of the fields that are not set. */
export interface ProfileDefaults {
  /** Pods of webapi and of loadbalancer: a number, or so many in each zone. */
  readonly replicas: { readonly inRegion: number } | { readonly inEachZone: number };
  readonly nameserviceMembers: 1 | 3;
  readonly shards: number;
  readonly peers: 1 | 3;
  /** StorageNodes in each zone, by the number of zones. */
  readonly storageNodes: Readonly<Record<'oneZone' | 'threeZones', number>>;
  readonly placement: Required<MantaRegionPlacement>;
  readonly maxStreamingSizeMB: number;
  readonly resources: Readonly<Record<Program, DefaultResources>>;
}

const anywhere = { serviceNodeSelector: {}, storageNodeSelector: {}, tolerations: [] } as const;
const byRole = {
  serviceNodeSelector: { 'manta.io/node-role': 'service' },
  storageNodeSelector: { 'manta.io/node-role': 'storage' },
  tolerations: [],
} as const;

/** Half of the memory requested, as in dev and lab. */
const half = (memoryMiB: number, cpu: string): DefaultResources => ({ memoryMiB, requested: 1 / 2, cpu });
/** All of it, for what must never be short of it. */
const all = (memoryMiB: number, cpu: string): DefaultResources => ({ memoryMiB, requested: 1, cpu });
const quarter = (memoryMiB: number, cpu: string): DefaultResources => ({ memoryMiB, requested: 1 / 4, cpu });

/** The defaults by profile: operations.md §1.2, resources of §8.1. */
export const profileDefaults: Readonly<Record<Profile, ProfileDefaults>> = {
  dev: {
    replicas: { inRegion: 1 },
    nameserviceMembers: 1,
    shards: 1,
    peers: 1,
    storageNodes: { oneZone: 3, threeZones: 1 },
    placement: { strictness: 'Preferred', ...anywhere },
    maxStreamingSizeMB: 5_120,
    resources: {
      nameservice: half(256, '50m'),
      postgres: half(1_024, '50m'),
      webapi: half(768, '50m'),
      loadbalancer: half(256, '50m'),
      storage: half(256, '50m'),
    },
  },
  lab: {
    replicas: { inRegion: 2 },
    nameserviceMembers: 3,
    shards: 2,
    peers: 3,
    storageNodes: { oneZone: 3, threeZones: 1 },
    placement: { strictness: 'Preferred', ...anywhere },
    maxStreamingSizeMB: 5_120,
    resources: {
      nameservice: half(512, '100m'),
      postgres: half(2_048, '100m'),
      webapi: half(1_536, '100m'),
      loadbalancer: half(512, '100m'),
      storage: half(512, '100m'),
    },
  },
  production: {
    replicas: { inEachZone: 2 },
    nameserviceMembers: 3,
    shards: 4,
    peers: 3,
    storageNodes: { oneZone: 0, threeZones: 0 },
    placement: { strictness: 'Required', ...byRole },
    maxStreamingSizeMB: 51_200,
    resources: {
      nameservice: all(2_048, '500m'),
      postgres: all(32_768, '4'),
      webapi: quarter(8_192, '2'),
      loadbalancer: quarter(4_096, '2'),
      storage: quarter(8_192, '2'),
    },
  },
};

/**
 * What shard `number` of a template of `count` hosts: a single shard everything; of several the first what is not the
 * namespace, because job records stay away from object records, and the others index.
 */
export function databasesOf(number: number, count: number): readonly Database[] {
  if (count === 1) return ['index', 'control', 'jobs', 'ops'];
  return number === 1 ? ['control', 'jobs', 'ops'] : ['index'];
}
