import type { Transaction } from '../../lib/coordinator/coordinator.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';
import { ordinalOf } from '../../lib/shard/records.ts';
import { chainOf, roleOf } from '../../lib/shard/state.ts';
import { labels } from '../names.ts';
import type { OwnedObject } from '../owned.ts';
import {
  type LaidOut,
  primaryService,
  shardBudget,
  shardConfigMap,
  shardService,
  shardStatefulSet,
} from './objects.ts';
import type { ShardSnapshot } from './snapshot.ts';
import { missingWishes } from './wishes.ts';

/** One thing to do about a shard. All of them may be repeated. */
export type ShardAction =
  | { readonly kind: 'apply'; readonly object: OwnedObject }
  | { readonly kind: 'write-wishes'; readonly transaction: Transaction }
  | { readonly kind: 'label-pod'; readonly pod: Stored<Pod>; readonly labels: Readonly<Record<string, string | null>> };

/** What to do about a shard that is not refused, in order. Pure. */
export function decideShard(s: ShardSnapshot): readonly ShardAction[] {
  const { view, shard, look } = s;
  const named = { name: shard.metadata.name, spec: shard.spec };
  const wishes = look && missingWishes({ shard, look, nowMs: s.nowMs });
  return [
    { kind: 'apply', object: { in: 'configMaps', intent: shardConfigMap(view, named) } },
    { kind: 'apply', object: { in: 'services', intent: shardService(view, named) } },
    { kind: 'apply', object: { in: 'services', intent: primaryService(view, named) } },
    { kind: 'apply', object: { in: 'budgets', intent: shardBudget(view, named) } },
    { kind: 'apply', object: { in: 'statefulSets', intent: shardStatefulSet(view, named, layoutOf(s)) } },
    ...(wishes === undefined ? [] : [{ kind: 'write-wishes', transaction: wishes } as const]),
    ...staleLabels(s),
  ];
}

/**
 * Claim templates stay those of the StatefulSet that is there, because they cannot change. The number of pods falls only
 * when the last peer that is to go has left the state: its pod may be the primary's. operations.md §4.3.
 */
function layoutOf({ shard, statefulSet, look }: ShardSnapshot): LaidOut {
  const { peers, storage } = shard.spec;
  const held = look?.state === undefined ? [] : [...chainOf(look.state), ...look.state.deposed];
  const known = statefulSet?.spec?.replicas ?? 0;
  // Without a look nobody knows who may go.
  const floor = look === undefined ? known : Math.max(0, ...held.map(({ id }) => ordinalOf(id) + 1));
  const claimOf = (name: 'data' | 'wal') => {
    const spec = statefulSet?.spec?.volumeClaimTemplates?.find(({ metadata }) => metadata?.name === name)?.spec;
    const size = spec?.resources?.requests?.storage;
    if (size === undefined) return storage[name];
    return { size, ...(spec?.storageClassName === undefined ? {} : { class: spec.storageClassName }) };
  };
  return { replicas: Math.max(peers, floor), claims: { data: claimOf('data'), wal: claimOf('wal') } };
}

/** Role and generation on the peers' pods, for people and the Service that people use. */
function staleLabels({ look, pods }: ShardSnapshot): ShardAction[] {
  const state = look?.state;
  if (state === undefined) return [];
  return pods.flatMap(pod => {
    const role = roleOf(state, pod.metadata.name);
    const wanted = { [labels.role]: role, [labels.generation]: String(state.generation) };
    const isSame = Object.entries(wanted).every(([name, value]) => pod.metadata.labels?.[name] === value);
    return isSame ? [] : [{ kind: 'label-pod', pod, labels: wanted } as const];
  });
}
