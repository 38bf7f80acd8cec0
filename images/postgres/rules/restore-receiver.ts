import { upstreamOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { answeredAsStandby, endpointOf, isCut, myRole, standbySettings } from '../facts.ts';

/** §7.5, the undoing of K2. */
export const restoreReceiver: Rule = {
  name: 'restore-receiver',
  why: 'the receiver was cut for a takeover that is no longer due',
  decide(s) {
    const role = myRole(s);
    const state = s.etcd.state?.value;
    if (state === undefined || (role !== 'sync' && role !== 'async')) return undefined;
    if (!isCut(s) || answeredAsStandby(s) === undefined) return undefined;
    const upstream = upstreamOf(state, s.me.id);
    if (upstream === undefined) return undefined;
    return { kind: 'restore-receiver', settings: standbySettings(s, endpointOf(s, upstream)) };
  },
};
