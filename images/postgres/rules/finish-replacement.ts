import type { Rule } from '../decide.ts';
import {
  answeredAsPrimary,
  asPrimary,
  canSyncTakeOver,
  hasHungSender,
  isFrozen,
  isHealthy,
  isMute,
  primarySettings,
  sameNames,
  ssnOf,
} from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.4, J2 to J4. The names in the settings say where the protocol stands. */
export const finishReplacement: Rule = {
  name: 'finish-replacement',
  why: 'more than the sync of the state must confirm: the replacement is declared, or taken back',
  decide(s) {
    const state = asPrimary(s);
    const { written } = s.server;
    if (state === undefined || written?.role !== 'primary' || answeredAsPrimary(s) === undefined) return undefined;
    if (isMute(s)) return undefined;
    const declared = ssnOf(state);
    if (sameNames(written.ssn, declared)) return undefined;
    const candidate = written.ssn[0];
    const isJoined = candidate !== undefined && sameNames(written.ssn.slice(1), declared);
    if (hasHungSender(s) && canSyncTakeOver(s, state)) return undefined;
    if (isJoined && canDeclare(s, candidate)) return { kind: 'declare-sync', candidate };
    return {
      kind: 'configure',
      settings: { ...primarySettings(s, written), ssn: declared },
      why: isJoined ? `${candidate} cannot be declared sync now` : 'the state names the sync',
    };
  },
};

function canDeclare(s: Snapshot, candidate: string): boolean {
  return !isFrozen(s) && s.etcd.registered !== undefined && isHealthy(s, candidate);
}
