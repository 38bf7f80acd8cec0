import type { StatefulSet } from '../../lib/kubernetes/resources.ts';
import type { ClaimTemplate, Shard } from '../../lib/resources/types.ts';
import { ordinalOf } from '../../lib/shard/records.ts';
import { type ClusterState, chainOf } from '../../lib/shard/state.ts';
import type { ClaimName, LaidOut } from './objects.ts';

/**
 * What a shard's StatefulSet cannot change freely. Claim templates stay those of the one that is there. The number of pods
 * falls only when the last peer that is to go has left the state, because its pod may be the primary's; without a state
 * nobody knows who may go. operations.md §4.3. Pure.
 */
export function layoutOf(found: {
  readonly spec: Shard['spec'];
  readonly statefulSet: StatefulSet | undefined;
  readonly state: ClusterState | undefined;
}): LaidOut {
  const { spec, statefulSet, state } = found;
  const known = statefulSet?.spec?.replicas ?? 0;
  const held = state === undefined ? [] : [...chainOf(state), ...state.deposed];
  const floor = state === undefined ? known : Math.max(0, ...held.map(({ id }) => ordinalOf(id) + 1));
  const claims = { data: claimOf('data', found), wal: claimOf('wal', found) };
  return { replicas: Math.max(spec.peers, floor), claims };
}

function claimOf(
  name: ClaimName,
  { spec, statefulSet }: { readonly spec: Shard['spec']; readonly statefulSet: StatefulSet | undefined },
): ClaimTemplate {
  const live = statefulSet?.spec?.volumeClaimTemplates?.find(({ metadata }) => metadata?.name === name)?.spec;
  const size = live?.resources?.requests?.storage;
  if (size === undefined) return spec.storage[name];
  return { size, ...(live?.storageClassName === undefined ? {} : { class: live.storageClassName }) };
}
