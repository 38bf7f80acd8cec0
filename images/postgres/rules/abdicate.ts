import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import {
  answered,
  asPrimary,
  awaitsRequest,
  canSyncTakeOver,
  hasFailedToPromote,
  hasHungSender,
  isFrozen,
  isOffering,
} from '../facts.ts';
import { hasLostData, isCrashLoop } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';
import { derivedTimes } from '../times.ts';

/** After an offer that nobody accepted, the local restart gets this long before the next one. */
const PATIENCE_MS = 30_000;

/** §7.7. */
export const abdicate: Rule = {
  name: 'abdicate',
  why: 'this primary’s PostgreSQL cannot serve soon, and the warm sync can',
  decide(s) {
    const state = asPrimary(s);
    if (state === undefined || state.systemId === null || isOffering(s)) return undefined;
    if (isFrozen(s) || awaitsRequest(s)) return undefined;
    if (s.evidence.withdrewAt !== undefined && s.now - s.evidence.withdrewAt < PATIENCE_MS) return undefined;
    const why = reasonToAbdicate(s, state);
    if (why === undefined) return undefined;
    if (s.etcd.registered !== undefined && canSyncTakeOver(s, state)) return { kind: 'abdicate', why };
    return isAnswerDue(s, state) ? { kind: 'wait', why: 'asking the sync whether it can take over' } : undefined;
  },
};

function reasonToAbdicate(s: Snapshot, state: ClusterState): string | undefined {
  const { process, unansweredSince } = s.server;
  if (hasLostData(s)) return 'its volume does not hold what the primary must';
  if (process.kind === 'remains') return 'its PostgreSQL ended';
  if (process.kind === 'none')
    return isCrashLoop(s) ? 'its PostgreSQL ends again and again' : 'its PostgreSQL is not running';
  if (unansweredSince !== undefined && s.now - unansweredSince >= s.times.healthFailMs) {
    return 'its PostgreSQL does not answer';
  }
  const found = answered(s);
  if (found !== undefined && !found.inRecovery && found.timeline !== state.timeline)
    return 'its timeline is not the reserved one';
  if (hasHungSender(s)) return 'one of its senders hangs';
  return hasFailedToPromote(s) ? 'its promotion does not end' : undefined;
}

/** A process that has just started is not registered, or not answered yet, and crash recovery may take long. */
function isAnswerDue(s: Snapshot, state: ClusterState): boolean {
  if (state.sync === null || s.server.process.kind === 'up') return false;
  const isNew = s.now - s.evidence.statusSince < derivedTimes(s.times).silenceMs;
  return isNew && (s.etcd.registered === undefined || s.evidence.answers[state.sync.id] === undefined);
}
