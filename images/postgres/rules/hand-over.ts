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
    if (refusal !== undefined) return isTerminating(s) ? endAlone(s, refusal) : undefined;
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

/** W1. The sentence says why not. */
export function refusalOf(s: Snapshot, state: ClusterState): string | undefined {
  const found = answeredAsPrimary(s);
  if (isFrozen(s)) return 'ClusterFrozen: the shard is frozen';
  if (s.etcd.registered === undefined) return 'this primary is not registered in etcd';
  if (found === undefined) return 'PostgresOffline: its PostgreSQL does not serve';
  if (state.sync === null) return 'NoCandidate: there is no sync';
  const isTired = s.evidence.withdrewAt !== undefined && s.now - s.evidence.withdrewAt < PATIENCE_MS;
  if (isTired) return `${state.sync.id} has just not taken over`;
  if (!canSyncTakeOver(s, state)) return `NotEligible: ${state.sync.id} cannot take over with a sync of its own`;
  const sender = senderTo(found, state.sync.id);
  if (sender?.flushed === undefined) return `NotCaughtUp: ${state.sync.id} does not stream`;
  const limit = BigInt(s.etcd.requests.switchover?.maxLagBytes ?? s.times.candidateLagBytes);
  const lag = found.flushed - (sender.replayed ?? sender.flushed);
  return lag > limit ? `LagTooLarge: ${state.sync.id} is ${lag} bytes behind` : undefined;
}

/** §7.13: nobody to hand over to. */
function endAlone(s: Snapshot, refusal: string): Action {
  if (s.job !== undefined) return { kind: 'abort-job' };
  if (s.server.process.kind === 'none') return { kind: 'exit' };
  return { kind: 'stop', mode: 'fast', why: `asked to end, and cannot hand over: ${refusal}` };
}
