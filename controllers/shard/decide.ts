import type { Transaction } from '../../lib/coordinator/coordinator.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';
import { roleOf } from '../../lib/shard/state.ts';
import { labels } from '../names.ts';
import type { OwnedObject } from '../owned.ts';
import { isBroken } from '../pods/pod-state.ts';
import { changesTemplate } from '../pods/template-hash.ts';
import { layoutOf } from './layout.ts';
import { primaryService, shardBudget, shardConfigMap, shardService, shardStatefulSet } from './objects.ts';
import { decideShardRollout, type ShardRollout } from './rollout.ts';
import type { ShardSnapshot } from './snapshot.ts';
import { missingWishes } from './wishes.ts';

/** One thing to do about a shard. All of them may be repeated. */
export type ShardAction =
  | { readonly kind: 'apply'; readonly object: OwnedObject }
  | { readonly kind: 'write-wishes'; readonly transaction: Transaction }
  | { readonly kind: 'replace-pod'; readonly pod: Stored<Pod> }
  | { readonly kind: 'label-pod'; readonly pod: Stored<Pod>; readonly labels: Readonly<Record<string, string | null>> };

/** What a shard needs now. */
export interface ShardPlan {
  readonly actions: readonly ShardAction[];
  readonly rollout: ShardRollout;
}

/** What to do about a shard that is not refused, in order. Pure. */
export function decideShard(s: ShardSnapshot): ShardPlan {
  const { view, shard, look, statefulSet } = s;
  const named = { name: shard.metadata.name, spec: shard.spec };
  const wishes = look && missingWishes({ shard, look, nowMs: s.nowMs });
  const rollout = decideShardRollout(s);
  const laidOut = layoutOf({ spec: shard.spec, statefulSet, state: look?.state });
  const peers = { in: 'statefulSets' as const, intent: shardStatefulSet(view, named, laidOut) };
  const config: OwnedObject = { in: 'configMaps', intent: shardConfigMap(view, named) };
  return {
    rollout: mayChange(s, peers) ? rollout : waitForTurn(s, rollout),
    actions: [
      apply({ in: 'services', intent: shardService(view, named) }),
      apply({ in: 'services', intent: primaryService(view, named) }),
      apply({ in: 'budgets', intent: shardBudget(view, named) }),
      ...(mayChange(s, peers) ? [apply(config), apply(peers)] : []),
      ...(wishes === undefined ? [] : [{ kind: 'write-wishes', transaction: wishes } as const]),
      ...staleLabels(s),
      ...(rollout.kind === 'replace' ? [{ kind: 'replace-pod', pod: rollout.pod } as const] : []),
    ],
  };
}

/**
 * Another template waits for the shard's turn, and its configuration with it: a peer that starts again in between must find
 * one that its version knows. Where a pod is broken the turn is not waited for, so that a fix can reach it.
 */
function mayChange(
  { statefulSet, hasTurn, pods, nowMs }: ShardSnapshot,
  peers: OwnedObject & { readonly in: 'statefulSets' },
): boolean {
  return !changesTemplate(statefulSet, peers.intent) || hasTurn || pods.some(pod => isBroken(pod, nowMs));
}

function waitForTurn({ view }: ShardSnapshot, rollout: ShardRollout): ShardRollout {
  if (rollout.kind !== 'done') return rollout;
  const finding = view.spec.paused
    ? { reason: 'Paused', message: 'a change waits for the region to be unpaused' }
    : {
        reason: 'WaitingForTurn',
        message: 'a change waits for its turn: kubectl get mr -o jsonpath={.items[0].status.rollout}',
      };
  return { kind: 'waits', finding };
}

function apply(object: OwnedObject): ShardAction {
  return { kind: 'apply', object };
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
