import { parseLsn } from '../../lib/shard/lsn.ts';
import type { PeerHealth } from '../../lib/shard/records.ts';
import { roleOf } from '../../lib/shard/state.ts';
import { answered, isTooSoon } from './facts.ts';
import type { Snapshot } from './snapshot.ts';

/** Below this part of a volume the peer is not to be relied on (§11.11). */
const FULL_RATIO = 0.05;

export function isDiskFull(s: Snapshot): boolean {
  return s.server.free.ratio < FULL_RATIO;
}

/** Five starts in ten minutes (§11.10), the last of which ended unasked: who was only switched over often is well. */
export function isCrashLoop(s: Snapshot): boolean {
  const { starts, crashedAt, process } = s.server;
  const isCrashed = (crashedAt !== undefined && crashedAt >= (starts.at(-1) ?? 0)) || s.failures.start !== undefined;
  return process.kind === 'none' && isCrashed && starts.filter(at => s.now - at < 600_000).length >= 5;
}

/** After each failed base backup, until the next attempt (§7.9). */
export const REBUILD_DELAYS_MS = [10_000, 60_000, 300_000] as const;

/** What this peer says of itself (§5.2, §7.2). */
export function healthOf(s: Snapshot): PeerHealth {
  if (hasForeignData(s)) return 'foreign-data';
  if (hasLostData(s)) return 'lost-data';
  if ((s.failures['base-backup']?.count ?? 0) >= REBUILD_DELAYS_MS.length) return 'rebuild-failed';
  if (isDiskFull(s)) return 'disk-full';
  if (isCrashLoop(s)) return 'crash-loop';
  const found = answered(s);
  if (found === undefined) return 'starting';
  const role = s.etcd.state === undefined ? 'none' : roleOf(s.etcd.state.value, s.me.id);
  if (role === 'primary' && found.inRecovery) return 'recovering';
  return isTooSoon(s, 'start', [5_000]) ? 'starting' : 'ok';
}

/** The volume holds another shard's database, or one that the shard never was. */
export function hasForeignData(s: Snapshot): boolean {
  const systemId = s.etcd.state?.value.systemId ?? null;
  const { directory } = s.server;
  return systemId !== null && directory.kind === 'usable' && directory.systemId !== systemId;
}

/** Rows of §7.2: the state says this peer is primary, and its volume does not hold what a primary must. */
export function hasLostData(s: Snapshot): boolean {
  const state = s.etcd.state?.value;
  if (state === undefined || state.primary.id !== s.me.id || state.systemId === null) return false;
  const { directory } = s.server;
  if (directory.kind !== 'usable' || directory.incarnation !== state.primary.incarnation) return true;
  const found = answered(s);
  if (found === undefined || found.inRecovery || found.flushed === undefined) return false;
  const answer = state.sync === null ? undefined : s.evidence.answers[state.sync.id];
  const isBehindSync =
    answer !== undefined &&
    answer.incarnation === state.sync?.incarnation &&
    answer.generation === state.generation &&
    answer.received !== null &&
    answer.at < found.at &&
    parseLsn(answer.received) > found.flushed;
  return found.flushed < parseLsn(state.initWal) || isBehindSync;
}
