import { MantaError } from '../errors/manta-error.ts';
import type { MantaRegionSpec } from './types.ts';

/** Labels and taint of Nodes. */
export const nodeLabels = { role: 'manta.io/node-role', zone: 'topology.kubernetes.io/zone' } as const;

/** Taint of Nodes for storage, which storage pods tolerate. */
export const STORAGE_TAINT = 'manta.io/storage';

/** Labels that say what a pod, or another object of a region, is part of: operations.md §0.1. */
export const partLabels = {
  /** The program. */
  service: 'manta.io/service',
  /** Name of the MantaRegion. */
  region: 'manta.io/region',
  /** Name of the Shard. */
  shard: 'manta.io/shard',
  /** Name of the StorageNode. */
  storageNode: 'manta.io/storage-node',
} as const;

/** Annotations by which people ask for what is not desired state (§3.3.4, §3.6). */
export const annotations = {
  /** `<id> <verb> [<peer>] [--flag …]` */
  request: 'manta.io/request',
  /** The object's own name: deleting it may destroy data. */
  confirmDataLoss: 'manta.io/confirm-data-loss',
  /** The object's own name: `deletionPolicy: Destroy` is meant. */
  allowDestroy: 'manta.io/allow-destroy',
  /** The object's own name: its finalizer goes without any clean-up. */
  forceDelete: 'manta.io/force-delete',
} as const;

/** Finalizer of objects with `deletionPolicy: Destroy` (§4.11). */
export const DESTROY_FINALIZER = 'manta.io/destroy';

/** Of the region, as far as ids depend on it. */
export type RegionDomain = Pick<MantaRegionSpec, 'regionName' | 'domainSuffix'>;

/** `us-east.example.net`: what all ids of a region end with. */
export function domainOf({ regionName, domainSuffix }: RegionDomain): string {
  return `${regionName}.${domainSuffix}`;
}

/** 3 of `shard-3`. Throws MantaError `InvalidParameter` for a name that no Shard can have. */
export function shardNumberOf(name: string): number {
  return numberOf(name, /^shard-([1-9]\d{0,3})$/);
}

/** 2 of `stor-2`. Throws MantaError `InvalidParameter` for a name that no StorageNode can have. */
export function storageNumberOf(name: string): number {
  return numberOf(name, /^stor-([1-9]\d{0,5})$/);
}

/** The id of a Shard in paths of backups, and wherever people see one: `3.moray.us-east.example.net`. */
export function shardIdOf(name: string, region: RegionDomain): string {
  return `${shardNumberOf(name)}.moray.${domainOf(region)}`;
}

/** The id of a StorageNode in the namespace: `2.stor.us-east.example.net`. */
export function storageIdOf(name: string, region: RegionDomain): string {
  return `${storageNumberOf(name)}.stor.${domainOf(region)}`;
}

/** Name of a Shard's StatefulSet and Service: `pg-3`. Its pods add the ordinal. */
export function shardWorkloadOf(name: string): string {
  return `pg-${shardNumberOf(name)}`;
}

function numberOf(name: string, form: RegExp): number {
  const [, digits] = form.exec(name) ?? [];
  if (digits === undefined) throw new MantaError('InvalidParameter', `"${name}" has no number`);
  return Number(digits);
}
