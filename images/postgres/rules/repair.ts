import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { answered, isBusy, isFrozen, NOBODY, primarySettings, standbySettings } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** §13. */
export const repair: Rule = {
  name: 'repair',
  why: 'an operator has named this peer to go on where the protocol alone must not',
  decide(s) {
    if (s.etcd.registered === undefined || isBusy(s)) return undefined;
    const { requests, state } = s.etcd;
    const forced = requests['force-takeover'];
    if (forced?.peer === s.me.id && isFrozen(s) && forced.generation === state?.value.generation) {
      return answered(s) === undefined ? startHeld(s) : { kind: 'force-takeover' };
    }
    if (requests['state-repair']?.peer !== s.me.id) return undefined;
    return answered(s) === undefined ? startHeld(s) : { kind: 'state-repair' };
  },
};

/** Up, in the role it had last, with nobody let in and nothing received. */
function startHeld(s: Snapshot): Action {
  if (s.server.process.kind !== 'none') return { kind: 'wait', why: 'its PostgreSQL is not up yet' };
  if (s.server.directory.kind !== 'usable') return { kind: 'wait', why: 'LostData: this volume holds no database' };
  const wish = { ssn: [s.etcd.requests['state-repair']?.sync ?? NOBODY], readOnly: true, gate: 'closed' } as const;
  const isPrimary = !s.server.directory.wasStandby;
  return {
    kind: 'start',
    settings: isPrimary ? primarySettings(s, wish) : { ...standbySettings(s, undefined), ssn: wish.ssn },
  };
}
