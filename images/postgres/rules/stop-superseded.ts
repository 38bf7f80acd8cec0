import type { Rule } from '../decide.ts';
import { answered, asPrimary } from '../facts.ts';

/** §7.9. */
export const stopSuperseded: Rule = {
  name: 'stop-superseded',
  why: 'a server that runs as primary while the state names another one serves reads that may be stale',
  duringJobs: true,
  decide(s) {
    if (s.etcd.state === undefined || asPrimary(s) !== undefined) return undefined;
    const { process, written } = s.server;
    if (process.kind === 'none' || process.kind === 'stopping') return undefined;
    const runsAsPrimary = answered(s)?.inRecovery === false || written?.role === 'primary';
    if (!runsAsPrimary) return undefined;
    if (s.job !== undefined) return s.job.kind === 'stop' ? undefined : { kind: 'abort-job' };
    return { kind: 'stop', mode: 'immediate', why: `${s.etcd.state.value.primary.id} is the primary` };
  },
};
