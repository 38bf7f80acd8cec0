import type { Answer } from '../../../lib/shard/records.ts';
import { roleOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { answeredAsPrimary, asPrimary, isFrozen, isSwitchoverRequested } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';
import { mayPass, type Refusal, refusalOf } from './hand-over.ts';

const INVALID: Refusal = { why: 'RequestInvalid: another generation, or not the sync' };

/** §6.6. */
export const answerRequest: Rule = {
  name: 'answer-request',
  why: 'a request that cannot be met is refused with its reason',
  decide(s) {
    const state = asPrimary(s);
    if (state === undefined || s.etcd.registered === undefined || answeredAsPrimary(s) === undefined) return undefined;
    const { switchover, rebuild } = s.etcd.requests;
    const forced = s.etcd.requests['force-takeover'];
    if (switchover !== undefined) {
      const refusal = isSwitchoverRequested(s) ? refusalOf(s, state) : INVALID;
      if (refusal !== undefined && !mayPass(s, refusal))
        return { kind: 'answer', request: 'switchover', answer: refused(switchover.id, refusal.why) };
    }
    if (rebuild !== undefined) {
      const refusal = rebuildRefusal(s, rebuild.peer);
      if (refusal !== undefined) return { kind: 'answer', request: 'rebuild', answer: refused(rebuild.id, refusal) };
    }
    if (forced !== undefined && !isFrozen(s)) {
      const why = 'RequestInvalid: only a frozen shard can be forced';
      return { kind: 'answer', request: 'force-takeover', answer: refused(forced.id, why) };
    }
    return undefined;
  },
};

function rebuildRefusal(s: Snapshot, peer: string): string | undefined {
  const state = s.etcd.state?.value;
  if (state === undefined) return undefined;
  if (s.etcd.requests.rebuild?.generation !== state.generation && roleOf(state, peer) === 'sync') {
    return 'RequestInvalid: another generation';
  }
  if (roleOf(state, peer) === 'primary') return 'RequestInvalid: the primary cannot be rebuilt; switch over first';
  return roleOf(state, peer) === 'none' && s.etcd.peers[peer] === undefined
    ? 'RequestInvalid: no such peer'
    : undefined;
}

function refused(id: string, message: string): Answer {
  return { id, outcome: 'Refused', message };
}
