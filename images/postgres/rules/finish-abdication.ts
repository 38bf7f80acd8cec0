import type { Rule } from '../decide.ts';
import { asPrimary, isFrozen } from '../facts.ts';

/** §7.7, step 3. */
export const finishAbdication: Rule = {
  name: 'finish-abdication',
  why: 'this primary has offered its role, and takes it back when nobody accepts',
  decide(s) {
    if (s.evidence.status !== 'abdicating' || s.etcd.state === undefined) return undefined;
    const state = asPrimary(s);
    if (state === undefined || state.generation !== s.evidence.statusGeneration) {
      return { kind: 'set-status', status: 'active' };
    }
    if (!isFrozen(s) && s.now - s.evidence.statusSince < s.times.abdicateTimeoutMs) {
      return { kind: 'wait', why: 'its PostgreSQL cannot serve; waiting for the sync to take over' };
    }
    return { kind: 'set-status', status: 'active' };
  },
};
