import type { Stored } from '../lib/kubernetes/object.ts';
import type { MantaRegion } from '../lib/resources/types.ts';

/**
 * The region of a namespace: the MantaRegion that was there first, by name among those of one second. All others are refused
 * (operations.md §3.1). Undefined without any.
 */
export function regionOf(regions: readonly Stored<MantaRegion>[]): Stored<MantaRegion> | undefined {
  const age = ({ metadata }: Stored<MantaRegion>) => `${metadata.creationTimestamp}/${metadata.name}`;
  return [...regions].sort((a, b) => (age(a) < age(b) ? -1 : 1))[0];
}

/** Whether a change of a region is one that its Shards and StorageNodes have to look at: another spec, or another turn. */
export function concernsAll(change: {
  readonly object: Stored<MantaRegion>;
  readonly old: Stored<MantaRegion>;
}): boolean {
  const [object, old] = [change.object, change.old];
  return (
    object.metadata.generation !== old.metadata.generation ||
    object.status?.rollout?.object !== old.status?.rollout?.object
  );
}
