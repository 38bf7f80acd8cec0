import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { asPrimary, asSync, isBusy, isTerminating } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.13. */
export const leave: Rule = {
  name: 'leave',
  why: 'this process is asked to end and owns no role that has to be given away',
  duringJobs: true,
  decide(s) {
    if (!isTerminating(s)) return undefined;
    if (s.job?.kind === 'stop') return undefined;
    if (asPrimary(s) !== undefined) return leaveAsPrimary(s);
    const patience = syncLeaves(s);
    if (patience !== undefined) return patience;
    if (s.job !== undefined) return { kind: 'abort-job' };
    if (s.server.process.kind === 'none') return { kind: 'exit' };
    return { kind: 'stop', mode: 'fast', why: 'asked to end' };
  },
};

/** It hands over first; one whose server is gone has tried to abdicate, and one that is still starting gives that up. */
function leaveAsPrimary(s: Snapshot): Action | undefined {
  if (isBusy(s)) return { kind: 'abort-job' };
  return s.server.process.kind === 'none' && s.job === undefined ? { kind: 'exit' } : undefined;
}

/** A sync says so, and stays until it is replaced, or nobody is going to replace it. */
function syncLeaves(s: Snapshot): Action | undefined {
  if (asSync(s) === undefined || s.server.process.kind !== 'up' || s.terminatingSince === undefined) return undefined;
  const isPatient = s.now - s.terminatingSince < s.times.leaveMs && s.evidence.heartbeat?.terminating !== true;
  if (!isPatient) return undefined;
  const said = s.evidence.status === 'leaving' || s.etcd.registered === undefined;
  return said
    ? { kind: 'wait', why: 'leaving: waiting to be replaced as sync' }
    : { kind: 'set-status', status: 'leaving' };
}
