import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { asPrimary, isFrozen, primarySettings, ssnOf } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** A stop that takes longer means a sender that waits for a slow receiver (§7.6). */
const SLOW_STOP_MS = 2_000;

const STOP: Action = { kind: 'stop', mode: 'fast', why: 'handing over' };

/** §7.6, W4 to W8: the status in my own record says where the protocol stands. */
export const finishHandover: Rule = {
  name: 'finish-handover',
  why: 'this primary is giving its role to the sync, in order',
  duringJobs: true,
  decide(s) {
    const { status, statusGeneration } = s.evidence;
    if (status !== 'handoff' && status !== 'handed-off') return undefined;
    const state = asPrimary(s);
    // Accepted, or overtaken by something else.
    if (state === undefined || state.generation !== statusGeneration) {
      return s.etcd.state === undefined ? undefined : { kind: 'set-status', status: 'active' };
    }
    return status === 'handoff' ? stopInOrder(s) : awaitSuccessor(s);
  },
};

function stopInOrder(s: Snapshot): Action | undefined {
  const state = asPrimary(s);
  const { process, directory, written } = s.server;
  if (s.job?.kind === 'stop') {
    return s.now - s.job.since > SLOW_STOP_MS ? { kind: 'abdicate', why: 'the orderly stop took too long' } : undefined;
  }
  if (s.job !== undefined || state === undefined) return undefined;
  if (process.kind === 'none') {
    const isClean = directory.kind === 'usable' && directory.isClean && directory.end !== undefined;
    return isClean ? { kind: 'hand-off' } : { kind: 'abdicate', why: 'the orderly stop failed' };
  }
  if (process.kind !== 'up') return undefined;
  // The sync would not act any more.
  if (isFrozen(s)) return { kind: 'set-status', status: 'active' };
  return written?.gate === 'open' ? nextOfHandover(s) : STOP;
}

/**
 * What follows `handoff`, and what follows the drain, for a server that is up. Undefined where the etcd of `s` says that
 * something has come between.
 */
export function nextOfHandover(s: Snapshot, isDrained = false): Action | undefined {
  const state = asPrimary(s);
  if (state === undefined || isFrozen(s)) return undefined;
  if (isDrained) return STOP;
  const settings = primarySettings(s, { ssn: ssnOf(state), readOnly: true, gate: 'closed' });
  return { kind: 'drain-clients', settings };
}

/** The record is not touched meanwhile: the successor compares its revision. */
function awaitSuccessor(s: Snapshot): Action | undefined {
  if (s.job !== undefined) return undefined;
  if (!isFrozen(s) && s.now - s.evidence.statusSince < s.times.switchoverTimeoutMs) {
    return { kind: 'wait', why: 'handed over, and waiting for the sync to take over' };
  }
  return { kind: 'set-status', status: 'active' };
}
