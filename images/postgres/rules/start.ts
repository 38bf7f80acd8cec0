import { upstreamOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { endpointOf, isTerminating, isTooSoon, myRole, primarySettings, ssnOf, standbySettings } from '../facts.ts';
import { hasLostData, isCrashLoop } from '../health.ts';

const RESTART_DELAYS_MS = [0, 1_000, 5_000, 30_000];

/** §7.1. */
export const start: Rule = {
  name: 'start',
  why: 'PostgreSQL is not running',
  decide(s) {
    const state = s.etcd.state?.value;
    const { process, directory } = s.server;
    if (state === undefined || process.kind !== 'none' || directory.kind !== 'usable' || isTerminating(s))
      return undefined;
    const role = myRole(s);
    if (role !== 'primary' && role !== 'sync' && role !== 'async') return undefined;
    if (hasLostData(s)) return { kind: 'wait', why: 'LostData: its volume does not hold what the primary must' };
    if (role === 'primary' && isCrashLoop(s)) return { kind: 'wait', why: 'CrashLoop: five starts in ten minutes' };
    if (isTooSoon(s, 'start', RESTART_DELAYS_MS)) {
      return { kind: 'wait', why: `its PostgreSQL did not start: ${s.failures.start?.message}` };
    }
    if (role === 'primary') {
      return { kind: 'start', settings: primarySettings(s, { ssn: ssnOf(state), readOnly: true, gate: 'closed' }) };
    }
    const upstream = upstreamOf(state, s.me.id);
    return { kind: 'start', settings: standbySettings(s, upstream && endpointOf(s, upstream)) };
  },
};
