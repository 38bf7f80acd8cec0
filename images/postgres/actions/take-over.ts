import type { Comparison, Operation } from '../../../lib/coordinator/coordinator.ts';
import { formatLsn, type Lsn, laterOf, lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState, DeposedRef, PeerRef } from '../../../lib/shard/state.ts';
import type { ActionOf, TakeoverTrigger } from '../action.ts';
import { heldStandbySettings, myRef, refOf } from '../facts.ts';
import type { Ports } from '../ports.ts';
import { dueTakeover } from '../rules/take-over.ts';
import type { EtcdView, Snapshot } from '../snapshot.ts';
import { committed, stateOf } from './commit.ts';
import { harmless, remember } from './promote.ts';
import { cutReceiver as cut, type Drained, drained, endReceivers, stopAsking } from './receiver.ts';

/** K2 (§7.5). The takeover follows at once; its settings name no upstream either. */
export async function cutReceiver(ports: Ports, s: Snapshot): Promise<ActionOf<'take-over'> | undefined> {
  await cut(ports);
  const due = dueTakeover({ ...s, etcd: ports.store.view() });
  if (due !== undefined) return { kind: 'take-over', ...due };
  await stopAsking(ports);
  return undefined;
}

/**
 * K1, K3 and K4 (§7.5), and the promotion that follows. Ends without a change when the takeover is due no more, or there is
 * still WAL to replay.
 */
export async function takeOver(
  ports: Ports,
  s: Snapshot,
  action: ActionOf<'take-over'>,
): Promise<ActionOf<'promote'> | undefined> {
  // K5 is proved meanwhile: a new connection takes as long as all the rest, and a standby can be harmless at any time.
  const settings = heldStandbySettings(s, [action.candidate]);
  const proof = harmless(ports, settings).then(
    () => true,
    () => false,
  );
  // Nothing of an action goes on after its end.
  const next = await declare(ports, s, action).finally(() => proof);
  // Whoever was superseded in the meantime does not promote.
  if (next?.generation !== stateOf(ports.store).generation) return undefined;
  return { kind: 'promote', settings, isProved: await proof };
}

/** K1, step 2 of the cut once more, K3's test and K4. Undefined: not yet, or not any more. */
async function declare(
  ports: Ports,
  s: Snapshot,
  { trigger, candidate }: ActionOf<'take-over'>,
): Promise<ClusterState | undefined> {
  const { store, logger } = ports;
  const [etcd] = await Promise.all([store.refresh(), endReceivers(ports)]);
  const fresh: Snapshot = { ...s, etcd };
  const due = dueTakeover(fresh);
  const state = fresh.etcd.state?.value;
  if (due?.trigger !== trigger || due.candidate !== candidate || state === undefined) return undefined;
  const end = await drained(ports);
  const handedOffAt = handedOver(fresh, state, trigger);
  // What was handed over has to be here to its end: its former owner follows without a rewind.
  if (end === undefined || end.position < laterOf(parseLsn(state.initWal), handedOffAt ?? lsn(0n))) return undefined;
  const next = successorState(fresh, state, candidate, end, handedOffAt !== undefined);
  const { compare, operations } = conditions(fresh.etcd, state, trigger, ports);
  const outcome = await store.writeState(next, { compare, operations });
  // For the promotion, which sees to it itself where this fails.
  const remembered = outcome.kind === 'committed' ? remember(ports, next, s).catch(() => {}) : undefined;
  await committed(store, outcome).finally(() => remembered);
  logger.info({ generation: next.generation, cause: next.cause, initWal: next.initWal }, 'taken over');
  return next;
}

/** Where the primary stopped that has handed over in this generation; a record that says so may also be left over. */
function handedOver(s: Snapshot, state: ClusterState, trigger: TakeoverTrigger): Lsn | undefined {
  const record = s.etcd.peers[state.primary.id]?.value;
  if (trigger !== 'T-b' || record?.status !== 'handed-off' || record.handedOffAt === undefined) return undefined;
  return parseLsn(record.handedOffAt);
}

function successorState(
  s: Snapshot,
  state: ClusterState,
  candidate: string,
  end: Drained,
  isHandedOver: boolean,
): ClusterState {
  const others = state.async.filter(peer => peer.id !== candidate && s.etcd.peers[peer.id] !== undefined);
  const generation = state.generation + 1;
  return {
    ...state,
    seq: state.seq + 1,
    generation,
    primary: myRef(s),
    sync: current(s, candidate, state),
    async: isHandedOver ? [...others, current(s, state.primary.id, state)] : others,
    deposed: isHandedOver ? state.deposed : [...state.deposed, deposedRef(state.primary, generation, end)],
    initWal: formatLsn(end.position),
    initTimeline: end.timeline,
    timeline: state.timeline + 1,
    cause: isHandedOver ? 'switchover' : 'takeover',
    writer: s.me.id,
  };
}

function current(s: Snapshot, id: string, state: ClusterState): PeerRef {
  const view = s.etcd.peers[id];
  const known = [state.primary, ...state.async].find(peer => peer.id === id);
  if (view !== undefined) return refOf(view);
  return known ?? state.primary;
}

/** A former primary, and from where on its WAL may be its own (§5.1). */
export function deposedRef(peer: PeerRef, sinceGeneration: number, end: Drained): DeposedRef {
  return { ...peer, sinceGeneration, forkTimeline: end.timeline, forkWal: formatLsn(end.position) };
}

/** What K4 compares of the old primary's key, by the reason for the takeover. */
function conditions(etcd: EtcdView, state: ClusterState, trigger: TakeoverTrigger, ports: Ports) {
  const compare: Comparison[] = [];
  const operations: Operation[] = [];
  const { keys } = ports.store;
  const key = keys.peer(state.primary.id);
  const record = etcd.peers[state.primary.id];
  if (trigger === 'T-a' && record !== undefined) operations.push({ delete: key });
  if (trigger === 'T-b' && record !== undefined) compare.push({ key, modRevision: record.modRevision });
  if (trigger === 'T-c') compare.push({ key, is: 'absent' });
  const request = etcd.requests.switchover;
  if (request !== undefined) {
    const answer = { id: request.id, outcome: 'Done', message: `generation ${state.generation + 1}` };
    operations.push({ delete: keys.request('switchover') }, { put: keys.answer, value: JSON.stringify(answer) });
  }
  return { compare, operations };
}
