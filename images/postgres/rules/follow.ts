import { upstreamOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { answeredAsStandby, endpointOf, myRole, sameSettings, standbySettings } from '../facts.ts';

/** §7.10. */
export const follow: Rule = {
  name: 'follow',
  why: 'a standby receives from the peer above it, and a sync names the one below',
  decide(s) {
    const role = myRole(s);
    const state = s.etcd.state?.value;
    const { written } = s.server;
    if (state === undefined || (role !== 'sync' && role !== 'async') || answeredAsStandby(s) === undefined)
      return undefined;
    const upstream = upstreamOf(state, s.me.id);
    const settings = standbySettings(s, upstream && endpointOf(s, upstream));
    if (written !== undefined && sameSettings(written, settings)) return undefined;
    return {
      kind: 'configure',
      settings,
      why: upstream === undefined ? 'nobody is above it' : `following ${upstream.id}`,
    };
  },
};
