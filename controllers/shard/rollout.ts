import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';
import { type ClusterState, chainOf, type Role, roleOf } from '../../lib/shard/state.ts';
import { isBroken, isReady } from '../pods/pod-state.ts';
import { outdatedPods } from '../pods/template-hash.ts';
import type { Finding } from '../verdict.ts';
import type { ShardSnapshot } from './snapshot.ts';

/** What a shard's update needs now. */
export type ShardRollout =
  | { readonly kind: 'done' }
  /** It goes on by itself when what the finding tells has passed. */
  | { readonly kind: 'waits'; readonly finding: Finding }
  /** The pod is to be replaced. On SIGTERM its peer hands over what it is: replication.md §7.13. */
  | { readonly kind: 'replace'; readonly pod: Stored<Pod>; readonly finding: Finding };

/** A pod that is not healthy after so long halts the update: operations.md §4.3. */
const HEALTHY_WITHIN_MS = 600_000;
/** Who goes first. */
const ORDER: Readonly<Record<Role, number>> = { none: 0, deposed: 1, async: 2, sync: 3, primary: 4 };

/**
 * The next step of an update: asyncs from the tail of the chain, then the sync, then the primary, each only when all peers
 * are healthy. A pod that is broken already may always be replaced first, so that a fix can reach it; a single peer simply
 * restarts. operations.md §4.3. Pure.
 */
export function decideShardRollout(s: ShardSnapshot): ShardRollout {
  const { statefulSet, pods, look, shard } = s;
  const outdated = outdatedPods(statefulSet, pods);
  const leaving = pods.filter(pod => pod.metadata.deletionTimestamp !== undefined);
  const halted = pods.find(pod => !outdated.includes(pod) && isOverdue(pod, s.nowMs));
  if (outdated.length === 0) return halted === undefined ? { kind: 'done' } : wait('RolloutHalted', overdue(halted));
  const broken = outdated.filter(pod => isBroken(pod, s.nowMs) && !leaving.includes(pod));
  const [first] = broken;
  if (first !== undefined) return replace(first, 'it has not been ready for a minute');
  if (halted !== undefined) return wait('RolloutHalted', overdue(halted));
  if (s.view.spec.paused) return wait('Paused', `${outdated.length} pods are to be replaced, and the region is paused`);
  if (!s.hasTurn)
    return wait('WaitingForTurn', `${outdated.length} pods are to be replaced, when it is this shard's turn`);
  if (leaving[0] !== undefined) return wait('RollingOut', `${leaving[0].metadata.name} ends`);
  const state = look?.state;
  if (shard.spec.peers === 1 && outdated[0] !== undefined) return replace(outdated[0], 'it is the only peer');
  if (state === undefined) return wait('RollingOut', 'nobody knows who is primary: nameservice does not answer');
  const obstacle = whyNotWhole(s, state);
  if (obstacle !== undefined) return wait('RollingOut', obstacle);
  return next(s, state, outdated);
}

function next(s: ShardSnapshot, state: ClusterState, outdated: readonly Stored<Pod>[]): ShardRollout {
  const chain = chainOf(state).map(({ id }) => id);
  const rank = ({ metadata }: Stored<Pod>) => ORDER[roleOf(state, metadata.name)] * 100 - chain.indexOf(metadata.name);
  const [pod] = [...outdated].sort((a, b) => rank(a) - rank(b));
  if (pod === undefined) return { kind: 'done' };
  const role = roleOf(state, pod.metadata.name);
  const { freeze } = s.shard.spec;
  if (freeze !== undefined && (role === 'primary' || role === 'sync'))
    return wait('RollingOut', `${pod.metadata.name} is ${role}, and the shard is frozen: ${freeze.reason}`);
  return replace(pod, `it is ${role}`);
}

/** What must hold before a healthy peer is taken away: all of them are in the chain, and ready. */
function whyNotWhole({ pods, shard }: ShardSnapshot, state: ClusterState): string | undefined {
  const chain = chainOf(state).map(({ id }) => id);
  if (state.deposed.length > 0) return `${state.deposed[0]?.id} is deposed`;
  if (state.sync === null) return 'there is no sync';
  if (chain.length < shard.spec.peers) return `the chain has ${chain.length} of ${shard.spec.peers} peers`;
  const missing = chain.find(id => !pods.some(pod => pod.metadata.name === id && isReady(pod)));
  return missing === undefined ? undefined : `${missing} is not ready`;
}

function isOverdue(pod: Stored<Pod>, nowMs: number): boolean {
  return !isReady(pod) && nowMs - Date.parse(pod.metadata.creationTimestamp) > HEALTHY_WITHIN_MS;
}

function overdue({ metadata, status }: Stored<Pod>): string {
  const waiting = status?.containerStatuses?.[0]?.state?.waiting;
  const why =
    waiting === undefined ? '' : ` (${waiting.reason}${waiting.message === undefined ? '' : `: ${waiting.message}`})`;
  return `${metadata.name} is not ready after 10 minutes${why}: kubectl describe pod ${metadata.name}`;
}

function wait(reason: string, message: string): ShardRollout {
  return { kind: 'waits', finding: { reason, message } };
}

function replace(pod: Stored<Pod>, why: string): ShardRollout {
  return {
    kind: 'replace',
    pod,
    finding: { reason: 'RollingOut', message: `${pod.metadata.name} is replaced: ${why}` },
  };
}
