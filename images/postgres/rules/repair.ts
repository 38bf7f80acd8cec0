import type { Answer } from '../../../lib/shard/records.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { answered, heldStandbySettings, isBusy, isFrozen, NOBODY, primarySettings } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';

/** §13. */
export const repair: Rule = {
  name: 'repair',
  why: 'an operator has named this peer to go on where the protocol alone must not',
  decide(s) {
    if (s.etcd.registered === undefined || isBusy(s)) return undefined;
    const { requests, state } = s.etcd;
    const forced = requests['force-takeover'];
    if (
      state !== undefined &&
      forced?.peer === s.me.id &&
      isFrozen(s) &&
      forced.generation === state.value.generation
    ) {
      const able = [state.value.primary, state.value.sync].find(
        peer => peer && peer.id !== s.me.id && isWell(s, peer.id),
      );
      // The request goes by itself, with its lease; a key goes some time after its peer.
      if (able) return { kind: 'wait', why: `NotEligible: ${able.id} is there, and may hold what this peer does not` };
      return answered(s) === undefined ? startHeld(s) : { kind: 'force-takeover' };
    }
    const repair = requests['state-repair'];
    if (repair?.peer !== s.me.id) return undefined;
    if (isSound(s)) return { kind: 'answer', request: 'state-repair', answer: refusal(repair.id) };
    return answered(s) === undefined ? startHeld(s) : { kind: 'state-repair' };
  },
};

function isWell(s: Snapshot, id: string): boolean {
  return s.etcd.peers[id]?.value.health === 'ok';
}

/** There is a state, and nobody has seen a later one: there is nothing to repair. */
function isSound(s: Snapshot): boolean {
  const state = s.etcd.state?.value;
  if (state === undefined) return false;
  const marks = [s.local.highWater, ...Object.values(s.etcd.peers).map(peer => peer.value.local)];
  return marks.every(mark => mark.maxGeneration <= state.generation && mark.maxSeq <= state.seq);
}

function refusal(id: string): Answer {
  return { id, outcome: 'Refused', message: 'RequestInvalid: there is a state, and nobody has seen a later one' };
}

/** Up, in the role it had last, with nobody let in and nothing received. */
function startHeld(s: Snapshot): Action {
  if (s.server.process.kind === 'remains') return { kind: 'stop', mode: 'kill', why: 'its PostgreSQL ended' };
  if (s.server.process.kind !== 'none') return { kind: 'wait', why: 'its PostgreSQL is not up yet' };
  if (s.server.directory.kind !== 'usable') return { kind: 'wait', why: 'LostData: this volume holds no database' };
  const wish = { ssn: [s.etcd.requests['state-repair']?.sync ?? NOBODY], readOnly: true, gate: 'closed' } as const;
  const isPrimary = !s.server.directory.wasStandby;
  return {
    kind: 'start',
    settings: isPrimary ? primarySettings(s, wish) : heldStandbySettings(s, wish.ssn),
  };
}
