import type { Rule } from '../decide.ts';
import { isTerminating } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** §6.2. */
export const settle: Rule = {
  name: 'settle',
  why: 'a transaction whose answer was lost may still be applied: nothing else is decided before it cannot be',
  duringJobs: true,
  decide: s => (s.etcd.unsettled && !isGivenUp(s) ? { kind: 'settle' } : undefined),
};

/** Without etcd it cannot be settled, and a process that is asked to end stops its server and writes nothing more. */
function isGivenUp(s: Snapshot): boolean {
  return isTerminating(s) && s.failures.settle !== undefined;
}
