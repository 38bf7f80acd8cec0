import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import {
  answered,
  asPrimary,
  canSyncTakeOver,
  hasFailedToPromote,
  heldStandbySettings,
  isTerminating,
  isTooSoon,
  ssnOf,
} from '../facts.ts';
import { hasLostData } from '../health.ts';
import type { DirectoryView } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.5, K5 to K7. */
export const finishPromotion: Rule = {
  name: 'finish-promotion',
  why: 'the state names this peer primary and its server is still a standby',
  decide(s) {
    const state = asPrimary(s);
    if (state === undefined || state.systemId === null || hasLostData(s)) return undefined;
    if (hasFailedToPromote(s) && canSyncTakeOver(s, state)) return undefined;
    const found = answered(s);
    const { process, directory, written } = s.server;
    if (process.kind === 'none')
      return isPromotionDue(directory, state) && !isTerminating(s) ? startAgain(s, state) : undefined;
    // Its settings tell a standby from a server in crash recovery; after a promotion they are replaced last.
    if (found === undefined || written?.role !== 'standby') return undefined;
    return found.inRecovery || found.timeline === state.timeline
      ? { kind: 'promote', settings: heldStandbySettings(s, ssnOf(state)) }
      : undefined;
  },
};

/** Also of a primary that a repaired state has given a timeline beyond its own (§13): it takes it by a promotion too. */
function isPromotionDue(directory: DirectoryView, state: ClusterState): boolean {
  return directory.kind === 'usable' && (directory.wasStandby || directory.timeline < state.timeline);
}

function startAgain(s: Snapshot, state: ClusterState): Action {
  if (isTooSoon(s, 'start', [0, 1_000, 5_000, 30_000])) return { kind: 'wait', why: 'its server did not start' };
  return { kind: 'start', settings: heldStandbySettings(s, ssnOf(state)) };
}
