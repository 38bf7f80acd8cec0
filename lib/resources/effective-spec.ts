import { type ContainerResources, containerResourcesOf, withResources } from './pod-resources.ts';
import { type ProfileDefaults, type Program, profileDefaults } from './profile-defaults.ts';
import type {
  MantaRegionNameservice,
  MantaRegionPlacement,
  MantaRegionShardTemplate,
  MantaRegionSpec,
  MantaRegionStorage,
  MantaRegionStorageTemplate,
  SingleService,
} from './types.ts';

/** What one program is given. */
export interface EffectiveService {
  readonly resources: ContainerResources;
  readonly logLevel: SingleService['logLevel'];
}

/** A program of which there are several alike. */
export interface EffectiveReplicatedService extends EffectiveService {
  /** In the whole region. */
  readonly replicas: number;
}

/** The spec of a region with nothing left to the profile. What stays optional has no default. */
export type EffectiveSpec = Omit<MantaRegionSpec, keyof Filled> & Filled;

interface Filled {
  readonly placement: Required<MantaRegionPlacement>;
  readonly services: Readonly<Record<Exclude<Program, 'webapi' | 'loadbalancer'>, EffectiveService>> &
    Readonly<Record<'webapi' | 'loadbalancer', EffectiveReplicatedService>>;
  readonly nameservice: MantaRegionNameservice & { readonly members: 1 | 3 };
  readonly shardTemplate: MantaRegionShardTemplate & Required<Pick<MantaRegionShardTemplate, 'count' | 'peers'>>;
  readonly storageTemplate: MantaRegionStorageTemplate & { readonly perZone: number };
  readonly storage: Omit<MantaRegionStorage, 'multiZone'> & {
    /** Copies of one object must lie in two zones at least. */
    readonly multiZone: boolean;
    readonly maxStreamingSizeMB: number;
  };
}

/** Everything that holds for a region: what its spec sets, and else what its profile says (operations.md §1.2). Pure. */
export function effectiveSpec({ spec }: { readonly spec: MantaRegionSpec }): EffectiveSpec {
  const defaults = profileDefaults[spec.profile];
  const zones = spec.zones.length;
  const { shardTemplate, storageTemplate } = spec;
  return {
    ...spec,
    placement: { ...defaults.placement, ...spec.placement },
    services: servicesOf(spec, defaults),
    nameservice: { ...spec.nameservice, members: spec.nameservice.members ?? defaults.nameserviceMembers },
    shardTemplate: {
      ...shardTemplate,
      count: shardTemplate.count ?? defaults.shards,
      peers: shardTemplate.peers ?? defaults.peers,
    },
    storageTemplate: {
      ...storageTemplate,
      perZone: storageTemplate.perZone ?? defaults.storageNodes[zones === 1 ? 'oneZone' : 'threeZones'],
    },
    storage: {
      ...spec.storage,
      multiZone: spec.storage.multiZone === 'Auto' ? zones === 3 : spec.storage.multiZone === 'Always',
      maxStreamingSizeMB: spec.storage.maxStreamingSizeMB ?? defaults.maxStreamingSizeMB,
    },
  };
}

function servicesOf({ services, zones }: MantaRegionSpec, { resources, replicas }: ProfileDefaults) {
  const byDefault = 'inRegion' in replicas ? replicas.inRegion : replicas.inEachZone * zones.length;
  const one = (program: Program): EffectiveService => {
    const wanted: Partial<SingleService> = services[program] ?? {};
    return {
      resources: withResources(containerResourcesOf(resources[program]), wanted.resources),
      logLevel: wanted.logLevel ?? 'info',
    };
  };
  const several = (program: 'webapi' | 'loadbalancer'): EffectiveReplicatedService => ({
    ...one(program),
    replicas: services[program]?.replicas ?? byDefault,
  });
  return {
    nameservice: one('nameservice'),
    postgres: one('postgres'),
    storage: one('storage'),
    webapi: several('webapi'),
    loadbalancer: several('loadbalancer'),
  };
}
