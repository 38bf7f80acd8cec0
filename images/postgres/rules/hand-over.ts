import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import {
  answeredAsPrimary,
  asPrimary,
  canSyncTakeOver,
  isConfigured,
  isFrozen,
  isOffering,
  isSwitchoverRequested,
  isTerminating,
  senderTo,
} from '../facts.ts';
import { isDiskFull } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';
import { derivedTimes } from '../times.ts';

/** A checkpoint this recent and this quick makes the stop short (W2). */
const CHECKPOINT_AGE_MS = 10_000;
const CHECKPOINT_SLOW_MS = 2_000;
const PATIENCE_MS = 30_000;
const PRESSED_MS = 30_000;

/** §7.6, W1 to W3, and §7.13. */
export const handOver: Rule = {
  name: 'hand-over',
  why: 'this primary is asked to give its role to the sync',
  decide(s) {
    const state = asPrimary(s);
    if (state === undefined || isOffering(s) || !isAsked(s)) return undefined;
    const refusal = refusalOf(s, state);
    if (refusal !== undefined) {
      if (mayPass(s, refusal)) return { kind: 'wait', why: refusal.why, yields: true };
      return isTerminating(s) ? endAlone(s, refusal.why) : undefined;
    }
    const last = s.lastCheckpoint;
    const isQuick = last !== undefined && last.tookMs < CHECKPOINT_SLOW_MS;
    const isPrepared = last !== undefined && s.now - last.at < CHECKPOINT_AGE_MS && (isQuick || isPressed(s));
    if (isPrepared) return { kind: 'set-status', status: 'handoff' };
    return s.job === undefined ? { kind: 'checkpoint' } : { kind: 'wait', why: 'a checkpoint before the hand-over' };
  },
};

/** On a slow disk no checkpoint is quick, and the time this process is given runs out. */
function isPressed(s: Snapshot): boolean {
  return s.terminatingSince !== undefined && s.now - s.terminatingSince > PRESSED_MS;
}

function isAsked(s: Snapshot): boolean {
  return isTerminating(s) || isSwitchoverRequested(s) || !isConfigured(s, s.me.id) || isDiskFull(s);
}

/** Why the role cannot be handed over. A `passing` reason often ends by itself: a standby has just attached. */
export interface Refusal {
  readonly why: string;
  readonly isPassing?: true;
}

/** W1. */
export function refusalOf(s: Snapshot, state: ClusterState): Refusal | undefined {
  const found = answeredAsPrimary(s);
  if (isFrozen(s)) return { why: 'ClusterFrozen: the shard is frozen' };
  if (s.etcd.registered === undefined) return { why: 'this primary is not registered in etcd' };
  if (found === undefined) return { why: 'PostgresOffline: its PostgreSQL does not serve' };
  if (state.sync === null) return { why: 'NoCandidate: there is no sync' };
  const { id } = state.sync;
  const isTired = s.evidence.withdrewAt !== undefined && s.now - s.evidence.withdrewAt < PATIENCE_MS;
  if (isTired) return { why: `${id} has just not taken over` };
  if (!canSyncTakeOver(s, state)) return notEligible(s, id);
  const sender = senderTo(found, id);
  if (sender?.flushed === undefined) return { why: `NotCaughtUp: ${id} does not stream`, isPassing: true };
  const limit = BigInt(s.etcd.requests.switchover?.maxLagBytes ?? s.times.candidateLagBytes);
  const lag = found.flushed - (sender.replayed ?? sender.flushed);
  return lag > limit ? { why: `LagTooLarge: ${id} is ${lag} bytes behind`, isPassing: true } : undefined;
}

function notEligible(s: Snapshot, sync: string): Refusal {
  const why = `NotEligible: ${sync} cannot take over with a sync of its own`;
  const answer = s.evidence.answers[sync];
  const isThere = answer !== undefined && !answer.terminating && s.now - answer.at < derivedTimes(s.times).silenceMs;
  return isThere ? { why, isPassing: true } : { why };
}

/** Whether to wait instead of refusing, or of ending alone. */
export function mayPass(s: Snapshot, { isPassing }: Refusal): boolean {
  const since = s.terminatingSince ?? s.evidence.requestedAt;
  return isPassing === true && since !== undefined && s.now - since < s.times.syncStallMs;
}

/** §7.13: nobody to hand over to. */
function endAlone(s: Snapshot, refusal: string): Action {
  if (s.job !== undefined) return { kind: 'abort-job' };
  if (s.server.process.kind === 'none') return { kind: 'exit' };
  return { kind: 'stop', mode: 'fast', why: `asked to end, and cannot hand over: ${refusal}` };
}
