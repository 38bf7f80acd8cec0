import { type Lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import { type ClusterState, downstreamOf } from '../../../lib/shard/state.ts';
import type { TakeoverTrigger } from '../action.ts';
import type { Rule } from '../decide.ts';
import {
  answeredAsStandby,
  asSync,
  awaitsRequest,
  isCut,
  isFrozen,
  isHealthy,
  myIncarnation,
  senderTo,
  standbyEnd,
} from '../facts.ts';
import type { Answered } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';
import { derivedTimes } from '../times.ts';

const STUCK_MS = 10_000;

/** §7.5, K1 to K4. */
export const takeOver: Rule = {
  name: 'take-over',
  why: 'the primary is lost, or has given up its role, and this sync holds everything it acknowledged',
  decide(s) {
    const due = dueTakeover(s);
    if (due === undefined) return undefined;
    // A receiver that would not end: a server that is started anew has none that holds the password.
    if (isReceiverStuck(s)) return { kind: 'stop', mode: 'fast', why: 'ReceiverStuck' };
    return isCut(s) ? { kind: 'take-over', ...due } : { kind: 'cut-receiver' };
  },
};

/** Since this server was started the cut has failed, and not long ago. */
function isReceiverStuck(s: Snapshot): boolean {
  const failure = s.failures['cut-receiver'];
  return failure !== undefined && failure.lastAt > (s.server.starts.at(-1) ?? 0) && s.now - failure.lastAt < STUCK_MS;
}

/** Whether the sync has to act, why, and with whom as its own sync. */
export function dueTakeover(s: Snapshot): { trigger: TakeoverTrigger; candidate: string } | undefined {
  const state = asSync(s);
  if (state === undefined || s.etcd.registered === undefined || isFrozen(s) || state.systemId === null)
    return undefined;
  if (s.terminatingSince !== undefined || !isEligible(s)) return undefined;
  const candidate = attachedCandidate(s, state);
  const trigger = triggerOf(s, state);
  return candidate === undefined || trigger === undefined ? undefined : { trigger, candidate };
}

/**
 * Same life of the directory, and what initWal stands for is in it: the position is held, on a timeline that is, or comes
 * from, the one it was read on.
 */
export function isEligible(s: Snapshot): boolean {
  const state = asSync(s);
  const found = answeredAsStandby(s);
  if (state === undefined || found === undefined) return false;
  const incarnation = myIncarnation(s);
  if (incarnation === null || incarnation !== state.sync.incarnation) return false;
  return found.timeline <= state.timeline && holds(found, state.initTimeline, parseLsn(state.initWal));
}

function holds(found: Answered, timeline: number, position: Lsn): boolean {
  if (standbyEnd(found) < position) return false;
  if (found.timeline === timeline) return true;
  const ancestor = found.ancestry.find(past => past.timeline === timeline);
  return ancestor !== undefined && ancestor.end >= position;
}

function triggerOf(s: Snapshot, state: ClusterState): TakeoverTrigger | undefined {
  const record = s.etcd.peers[state.primary.id]?.value;
  if (record !== undefined && record.statusGeneration === state.generation) {
    if (record.status === 'abdicating') return 'T-b';
    if (record.status === 'handed-off' && hasAllOf(s, record.handedOffAt)) return 'T-b';
  }
  if (awaitsRequest(s)) return undefined;
  const verdict = s.evidence.primary;
  if (verdict === undefined || !verdict.isConfirmed) return undefined;
  if (verdict.kind === 'gone' || verdict.kind === 'silent') return 'T-a';
  return verdict.kind === 'detached' ? 'T-c' : undefined;
}

/** W7: only when everything the old primary had written has arrived. */
function hasAllOf(s: Snapshot, handedOffAt: string | undefined): boolean {
  const found = answeredAsStandby(s);
  return found !== undefined && handedOffAt !== undefined && standbyEnd(found) >= parseLsn(handedOffAt);
}

/** Who would be the next sync. It has to be attached already: a primary alone gains nothing. */
export function attachedCandidate(s: Snapshot, state: ClusterState): string | undefined {
  const found = answeredAsStandby(s);
  const next = downstreamOf(state, s.me.id);
  if (found === undefined || next === undefined || !isHealthy(s, next.id)) return undefined;
  const sender = senderTo(found, next.id);
  if (sender?.flushed === undefined || s.now - sender.repliedAt >= derivedTimes(s.times).recentReplyMs)
    return undefined;
  // One that received from the primary itself may be ahead, and would be left behind the fork: PostgreSQL lets it stream
  // all the same, because a standby asks for whole segments.
  return sender.flushed <= standbyEnd(found) ? next.id : undefined;
}
