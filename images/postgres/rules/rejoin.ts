import { parseLsn } from '../../../lib/shard/lsn.ts';
import { type ClusterState, chainOf, type PeerRef } from '../../../lib/shard/state.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { answeredAsStandby, endpointOf, isFrozen, isTooSoon, myRole, sameSettings, standbySettings } from '../facts.ts';
import { REBUILD_DELAYS_MS } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';

const RESTART_DELAYS_MS = [0, 1_000, 5_000, 30_000];
/** A standby of the chain that cannot stream for so long, from an upstream that is there, has strayed from its history. */
const STRAYED_MS = 10_000;

/** §7.9, and §7.10 for standbys whose WAL goes beyond a fork. */
export const rejoin: Rule = {
  name: 'rejoin',
  why: 'this peer is not part of the chain, or cannot follow it, and comes back by itself',
  decide(s) {
    const state = s.etcd.state?.value;
    if (state === undefined || state.systemId === null || s.terminatingSince !== undefined) return undefined;
    if (s.etcd.requests.rebuild?.peer === s.me.id) return undefined;
    const role = myRole(s);
    if (role === 'deposed' || role === 'none') return outside(s, state);
    // Taken back. As primary it would open only with an active status.
    if (s.evidence.status === 'rejoin-ready') return { kind: 'set-status', status: 'active' };
    return role === 'async' && hasStrayed(s, state)
      ? { kind: 'stop', mode: 'fast', why: 'it cannot follow its upstream' }
      : undefined;
  },
};

function outside(s: Snapshot, state: ClusterState): Action | undefined {
  const { process, directory, written } = s.server;
  const found = answeredAsStandby(s);
  const tail = chainOf(state).at(-1) ?? state.primary;
  const settings = standbySettings(s, endpointOf(s, tail));
  if (found !== undefined) {
    if (written === undefined || !sameSettings(written, settings) || s.server.receiverPassword === 'empty') {
      return { kind: 'restore-receiver', settings };
    }
    if (found.isStreaming)
      return s.evidence.status === 'rejoin-ready' ? undefined : { kind: 'set-status', status: 'rejoin-ready' };
    if (isStraying(s, tail)) return { kind: 'stop', mode: 'fast', why: 'it cannot follow the tail of the chain' };
    return { kind: 'wait', why: `waiting to stream from ${tail.id}` };
  }
  if (process.kind !== 'none') return { kind: 'wait', why: 'its PostgreSQL is not up yet' };
  if (isFrozen(s)) return { kind: 'wait', why: 'ClusterFrozen: a frozen shard rebuilds nobody' };
  const mend = directory.kind === 'usable' ? mendDirectory(s, state) : rebuildFrom(s, state.primary);
  if (mend !== undefined) return mend;
  if (isTooSoon(s, 'start', RESTART_DELAYS_MS)) return { kind: 'wait', why: 'its PostgreSQL did not start' };
  return { kind: 'start', settings };
}

/** Undefined: the directory can follow as it is. */
function mendDirectory(s: Snapshot, state: ClusterState): Action | undefined {
  const { directory } = s.server;
  if (directory.kind !== 'usable') return undefined;
  // A timeline at least as new as the primary's: it has been rewound to it, or has followed it.
  if (directory.timeline >= state.timeline && !s.failures.rewind) return undefined;
  const mine = state.deposed.find(peer => peer.id === s.me.id);
  const isBeforeFork =
    mine !== undefined &&
    directory.isClean &&
    directory.timeline === mine.forkTimeline &&
    directory.end !== undefined &&
    directory.end <= parseLsn(mine.forkWal);
  if (isBeforeFork) return undefined;
  return s.failures.rewind === undefined ? whenOpen(s, state.primary, 'rewind') : rebuildFrom(s, state.primary);
}

/** A base backup, three times at most (§7.9 step 5). */
export function rebuildFrom(s: Snapshot, source: PeerRef): Action {
  const failure = s.failures['base-backup'];
  if (failure !== undefined && failure.count > REBUILD_DELAYS_MS.length) {
    return { kind: 'wait', why: `RebuildFailed: ${failure.message}` };
  }
  if (isTooSoon(s, 'base-backup', REBUILD_DELAYS_MS))
    return { kind: 'wait', why: `base backup failed: ${failure?.message}` };
  return whenOpen(s, source, 'base-backup');
}

/** Before its first checkpoint a promoted server misleads pg_rewind (C10). */
function whenOpen(s: Snapshot, source: PeerRef, kind: 'rewind' | 'base-backup'): Action {
  const record = s.etcd.peers[source.id]?.value;
  const isReady = record !== undefined && record.health === 'ok' && (kind === 'base-backup' || record.rewindable);
  if (!isReady) return { kind: 'wait', why: `waiting until ${source.id} can be copied from` };
  return { kind, from: endpointOf(s, source) };
}

function hasStrayed(s: Snapshot, state: ClusterState): boolean {
  const chain = chainOf(state);
  const upstream = chain[chain.findIndex(peer => peer.id === s.me.id) - 1];
  return upstream !== undefined && answeredAsStandby(s) !== undefined && isStraying(s, upstream);
}

function isStraying(s: Snapshot, upstream: PeerRef): boolean {
  const found = answeredAsStandby(s);
  if (found === undefined || found.isStreaming || s.etcd.peers[upstream.id]?.value.health !== 'ok') return false;
  const startedAt = s.server.starts.at(-1) ?? 0;
  return s.now - Math.max(found.streamMovedAt ?? 0, startedAt) > STRAYED_MS;
}
