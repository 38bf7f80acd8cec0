import type { Rule } from '../decide.ts';
import { answered, asPrimary } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';
import { derivedTimes } from '../times.ts';

/** §9.2 layer 2, §11.3. */
export const closeGate: Rule = {
  name: 'close-gate',
  why: 'a primary that may have been superseded, or whose safety settings are not in force, admits nobody',
  duringJobs: true,
  decide(s) {
    if (answered(s) === undefined) return undefined;
    if (s.server.written?.gate !== 'open') {
      const isHalfDone = s.failures['close-gate'] !== undefined && s.server.written !== undefined;
      return isHalfDone ? { kind: 'close-gate', why: 'those who were in could not be ended' } : undefined;
    }
    if (s.server.drift !== undefined)
      return { kind: 'close-gate', why: `a setting is not in force: ${s.server.drift}` };
    if (isFenceDue(s)) return { kind: 'close-gate', why: 'nothing proves that this peer is still the primary' };
    return undefined;
  },
};

function isFenceDue(s: Snapshot): boolean {
  if (asPrimary(s)?.oneNode !== undefined) return false;
  return s.evidence.freshAt === undefined || s.now - s.evidence.freshAt >= derivedTimes(s.times).fenceMs;
}
