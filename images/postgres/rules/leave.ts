import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { asPrimary, asSync, isTerminating } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.13. */
export const leave: Rule = {
  name: 'leave',
  why: 'this process is asked to end and owns no role that has to be given away',
  duringJobs: true,
  decide(s) {
    if (!isTerminating(s)) return undefined;
    if (s.job?.kind === 'stop') return undefined;
    // A primary hands over first; one whose server is gone has tried to abdicate.
    if (asPrimary(s) !== undefined)
      return s.server.process.kind === 'none' && s.job === undefined ? { kind: 'exit' } : undefined;
    const patience = syncLeaves(s);
    if (patience !== undefined) return patience;
    if (s.job !== undefined && s.job.kind !== 'checkpoint') return { kind: 'abort-job' };
    if (s.server.process.kind === 'none') return { kind: 'exit' };
    return { kind: 'stop', mode: 'fast', why: 'asked to end' };
  },
};

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
