import { upstreamOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import {
  asSync,
  endpointOf,
  isTerminating,
  isTooSoon,
  myRole,
  primarySettings,
  ssnOf,
  standbySettings,
} from '../facts.ts';
import { hasLostData, isCrashLoop } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';

const RESTART_DELAYS_MS = [0, 1_000, 5_000, 30_000];
const CUT_PENDING_MS = 60_000;
const SUCCESSOR_MS = 800;

/** §7.1. */
export const start: Rule = {
  name: 'start',
  why: 'PostgreSQL is not running',
  decide(s) {
    const state = s.etcd.state?.value;
    const { process, directory } = s.server;
    const role = myRole(s);
    if (state === undefined || state.systemId === null || isTerminating(s)) return undefined;
    if (role !== 'primary' && role !== 'sync' && role !== 'async') return undefined;
    if (process.kind === 'remains') return { kind: 'stop', mode: 'kill', why: 'its PostgreSQL ended, not all of it' };
    if (isHung(s)) return { kind: 'stop', mode: 'kill', why: 'its PostgreSQL does not answer' };
    if (process.kind !== 'none') return undefined;
    if (hasLostData(s)) return { kind: 'wait', why: 'LostData: its volume does not hold what the primary must' };
    if (directory.kind !== 'usable') return undefined;
    if (role === 'primary' && isCrashLoop(s)) return { kind: 'wait', why: 'CrashLoop: five starts in ten minutes' };
    if (isTooSoon(s, 'start', RESTART_DELAYS_MS)) {
      return { kind: 'wait', why: `its PostgreSQL did not start: ${s.failures.start?.message}` };
    }
    if (role === 'primary') {
      return { kind: 'start', settings: primarySettings(s, { ssn: ssnOf(state), readOnly: true, gate: 'closed' }) };
    }
    if (hasJustHandedOver(s)) return { kind: 'wait', why: 'its successor opens first', yields: true };
    const upstream = isCutPending(s) ? undefined : upstreamOf(state, s.me.id);
    return { kind: 'start', settings: standbySettings(s, upstream && endpointOf(s, upstream)) };
  },
};

/** Checked every second, and so for five (§11.11). A primary has offered its role first, if it could. */
function isHung(s: Snapshot): boolean {
  const { process, unansweredSince } = s.server;
  return process.kind === 'up' && unansweredSince !== undefined && s.now - unansweredSince >= s.times.healthFailMs;
}

/** Where peers share a machine, a server that starts takes from the one that everybody waits for. */
function hasJustHandedOver(s: Snapshot): boolean {
  const { statusGeneration, statusSince } = s.evidence;
  const state = s.etcd.state?.value;
  if (state?.cause !== 'switchover' || state.async.at(-1)?.id !== s.me.id) return false;
  // A process that has run no server yet has handed nothing over.
  const isMine = statusGeneration === state.generation && s.server.starts.length > 0;
  return isMine && s.now - statusSince < SUCCESSOR_MS;
}

/** It was stopped because a receiver would not end: it comes up without any, and the takeover goes on or is undone (K2). */
function isCutPending(s: Snapshot): boolean {
  const failure = s.failures['cut-receiver'];
  return asSync(s) !== undefined && failure !== undefined && s.now - failure.lastAt < CUT_PENDING_MS;
}
