import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { answered, asPrimary, isTooSoon, ssnOf, standbySettings } from '../facts.ts';
import { hasLostData } from '../health.ts';
import type { Settings } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.5, K5 to K7. */
export const finishPromotion: Rule = {
  name: 'finish-promotion',
  why: 'the state names this peer primary and its server is still a standby',
  decide(s) {
    const state = asPrimary(s);
    if (state === undefined || state.systemId === null || hasLostData(s)) return undefined;
    const found = answered(s);
    const { process, directory } = s.server;
    if (process.kind === 'none') {
      const isResumed = directory.kind === 'usable' && directory.wasStandby;
      return isResumed ? startAgain(s) : undefined;
    }
    if (found === undefined) return undefined;
    // Its settings tell a standby from a server in crash recovery; after a promotion they are replaced last.
    const isStandby = s.server.written?.role === 'standby';
    if (isStandby && (found.inRecovery || found.timeline === state.timeline)) {
      return { kind: 'promote', settings: heldStandby(s) };
    }
    if (found.inRecovery) return undefined;
    if (found.timeline !== state.timeline) {
      return {
        kind: 'wait',
        why: `TimelineMismatch: the server is on ${found.timeline}, ${state.timeline} was reserved`,
      };
    }
    return undefined;
  },
};

function startAgain(s: Snapshot): Action {
  if (isTooSoon(s, 'start', [0, 1_000, 5_000, 30_000])) return { kind: 'wait', why: 'its server did not start' };
  return { kind: 'start', settings: heldStandby(s) };
}

/** Receives from nobody, and will acknowledge with the new sync only. */
function heldStandby(s: Snapshot): Settings {
  const state = asPrimary(s);
  return { ...standbySettings(s, undefined), ssn: state === undefined ? [] : ssnOf(state), dumps: false };
}
