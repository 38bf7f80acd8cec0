import { upstreamOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { isTerminating, myRole } from '../facts.ts';
import { rebuildFrom } from './rejoin.ts';

/** §7.10. */
export const seed: Rule = {
  name: 'seed',
  why: 'this standby has no database directory that can be used',
  decide(s) {
    const state = s.etcd.state?.value;
    const role = myRole(s);
    if (state === undefined || state.systemId === null || isTerminating(s)) return undefined;
    if (s.etcd.requests.rebuild?.peer === s.me.id && role !== 'primary' && role !== 'sync') {
      if (s.server.process.kind !== 'none') return { kind: 'stop', mode: 'fast', why: 'a rebuild was asked for' };
      return { kind: 'discard-directory' };
    }
    if ((role !== 'sync' && role !== 'async') || s.server.process.kind !== 'none') return undefined;
    if (s.server.directory.kind === 'usable') return undefined;
    const upstream = role === 'sync' ? state.primary : upstreamOf(state, s.me.id);
    // An upstream that cannot be copied from: the primary can.
    const source =
      upstream !== undefined && s.etcd.peers[upstream.id]?.value.health === 'ok' ? upstream : state.primary;
    return rebuildFrom(s, s.failures['base-backup'] === undefined ? source : state.primary);
  },
};
