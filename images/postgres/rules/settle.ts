import type { Rule } from '../decide.ts';

/** §6.2. */
export const settle: Rule = {
  name: 'settle',
  why: 'a transaction whose answer was lost may still be applied: nothing else is decided before it cannot be',
  duringJobs: true,
  decide: s => (s.etcd.unsettled ? { kind: 'settle' } : undefined),
};
