import { parseLsn } from '../../../lib/shard/lsn.ts';
import { type ClusterState, chainOf, type PeerRef, upstreamOf } from '../../../lib/shard/state.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import {
  answeredAsStandby,
  endpointOf,
  isFrozen,
  isHealthy,
  isTooSoon,
  myRole,
  sameSettings,
  standbyEnd,
  standbySettings,
} from '../facts.ts';
import { REBUILD_DELAYS_MS } from '../health.ts';
import type { Snapshot } from '../snapshot.ts';
import { isEligible } from './take-over.ts';

const RESTART_DELAYS_MS = [0, 1_000, 5_000, 30_000];
/** A source that did not answer is asked again. */
const ASK_AGAIN_MS = 5_000;
/** A standby that cannot stream for so long, from an upstream that is well, may have strayed from its history. */
const STRAYED_MS = 10_000;
/** One whose history is the right one waits out whatever is between the two, and then fetches what it lacks otherwise. */
const STRANDED_MS = 300_000;

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
    // Taken back; said again later, it would make a diverged peer look mended.
    if (s.evidence.status === 'rejoin-ready') return { kind: 'set-status', status: 'active' };
    // What a sync holds that may take over is not given away, whatever the primary shows.
    if (role === 'primary' || (role === 'sync' && isEligible(s))) return undefined;
    const upstream = upstreamOf(state, s.me.id);
    return upstream === undefined || isFrozen(s) ? undefined : returnFromStraying(s, state, upstream);
  },
};

function outside(s: Snapshot, state: ClusterState): Action | undefined {
  const { process, directory, written } = s.server;
  const found = answeredAsStandby(s);
  const upstream = lastThatIsWell(s, state);
  const settings = standbySettings(s, endpointOf(s, upstream));
  if (found !== undefined) {
    if (written === undefined || !sameSettings(written, settings) || s.server.receiverPassword === 'empty') {
      return { kind: 'restore-receiver', settings };
    }
    if (found.isStreaming) return sayReady(s, state);
    const wait = { kind: 'wait', why: `waiting to stream from ${upstream.id}` } as const;
    return isFrozen(s) ? wait : (returnFromStraying(s, state, upstream) ?? wait);
  }
  if (process.kind === 'remains') return { kind: 'stop', mode: 'kill', why: 'its PostgreSQL ended, not all of it' };
  if (process.kind !== 'none') return { kind: 'wait', why: 'its PostgreSQL is not up yet' };
  if (isFrozen(s)) return { kind: 'wait', why: 'ClusterFrozen: a frozen shard rebuilds nobody' };
  const mend = directory.kind === 'usable' ? mendDirectory(s, state) : rebuildFrom(s, state.primary);
  if (mend !== undefined) return mend;
  if (isTooSoon(s, 'start', RESTART_DELAYS_MS)) return { kind: 'wait', why: 'its PostgreSQL did not start' };
  return { kind: 'start', settings };
}

/** Below whom to stream: the tail, or, when that is down, the next above it; nobody could come back otherwise. */
function lastThatIsWell(s: Snapshot, state: ClusterState): PeerRef {
  return chainOf(state).findLast(peer => isHealthy(s, peer.id)) ?? state.primary;
}

/** For this generation: what was true in an earlier one may not be any more. */
function sayReady(s: Snapshot, state: ClusterState): Action | undefined {
  const isSaid = s.evidence.status === 'rejoin-ready' && s.evidence.statusGeneration === state.generation;
  return isSaid ? undefined : { kind: 'set-status', status: 'rejoin-ready' };
}

/** Undefined: the directory can follow as it is. */
function mendDirectory(s: Snapshot, state: ClusterState): Action | undefined {
  const { directory } = s.server;
  if (directory.kind !== 'usable') return undefined;
  if (hasFailedToRewind(s) || hasForeignTimeline(s, state)) return rebuildFrom(s, state.primary);
  // It has been rewound to the primary's timeline, or has followed it there; or it was a standby, and is seen to stray if it
  // has. pg_rewind would end its recovery first, with a record of its own where others have gone on with theirs.
  if (directory.timeline === state.timeline || directory.wasStandby) return undefined;
  const mine = state.deposed.find(peer => peer.id === s.me.id);
  const isBeforeFork =
    mine !== undefined &&
    directory.isClean &&
    directory.timeline === mine.forkTimeline &&
    directory.end !== undefined &&
    directory.end <= parseLsn(mine.forkWal);
  return isBeforeFork ? undefined : whenOpen(s, state.primary, 'rewind');
}

function hasFailedToRewind({ failures: { rewind } }: Snapshot): boolean {
  return rewind !== undefined && rewind.count > 0;
}

/**
 * A timeline that another peer has too, with other contents, or that the shard does not know: pg_rewind would not see the
 * difference (§7.9 step 4, §11.8).
 */
function hasForeignTimeline(s: Snapshot, state: ClusterState): boolean {
  const { directory } = s.server;
  if (directory.kind !== 'usable') return false;
  const isMine = s.local.promotedTimelines.some(past => past.timeline === directory.timeline);
  return directory.timeline > state.timeline || (directory.timeline === state.timeline && isMine);
}

/** A base backup, three times at most (§7.9 step 5). */
export function rebuildFrom(s: Snapshot, source: PeerRef): Action {
  const failure = s.failures['base-backup'];
  if (failure?.isUnreachable === true) return whenOpen(s, source, 'base-backup');
  if (failure !== undefined && failure.count > REBUILD_DELAYS_MS.length) {
    return { kind: 'wait', why: `RebuildFailed: ${failure.message}` };
  }
  if (isTooSoon(s, 'base-backup', REBUILD_DELAYS_MS))
    return { kind: 'wait', why: `base backup failed: ${failure?.message}` };
  return whenOpen(s, source, 'base-backup');
}

/**
 * Before its first checkpoint a promoted server misleads pg_rewind (C10). One that was declared primary and is not promoted
 * yet says `rewindable` still of its life as a standby: its timeline shows that.
 */
function whenOpen(s: Snapshot, source: PeerRef, kind: 'rewind' | 'base-backup'): Action {
  const failure = s.failures[kind];
  if (failure?.isUnreachable === true && s.now - failure.lastAt < ASK_AGAIN_MS)
    return { kind: 'wait', why: failure.message };
  const record = s.etcd.peers[source.id]?.value;
  const canBeRewoundTo = record?.rewindable === true && record.timeline === s.etcd.state?.value.timeline;
  const isReady = record?.health === 'ok' && (kind === 'base-backup' || canBeRewoundTo);
  if (!isReady) return { kind: 'wait', why: `waiting until ${source.id} can be copied from` };
  return { kind, from: endpointOf(s, source) };
}

/**
 * A standby that is up and cannot follow. Beyond a fork, or on a timeline that may have been left: pg_rewind. On the right
 * one: its WAL is gone upstream, or the way there is closed, which takes patience to tell apart.
 */
function returnFromStraying(s: Snapshot, state: ClusterState, upstream: PeerRef): Action | undefined {
  const found = answeredAsStandby(s);
  if (found === undefined || found.isStreaming || s.etcd.peers[upstream.id]?.value.health !== 'ok') return undefined;
  if (s.etcd.peers[state.primary.id]?.value.health !== 'ok') return undefined;
  const idleMs = s.now - Math.max(found.followedAt ?? 0, s.server.starts.at(-1) ?? 0);
  if (idleMs <= STRAYED_MS) return undefined;
  const fork = forkOf(state, found.timeline);
  const isBeyond = found.timeline < state.timeline && (fork === undefined || standbyEnd(found) > fork);
  if (isBeyond && !hasFailedToRewind(s)) return whenOpen(s, state.primary, 'rewind');
  return idleMs > STRANDED_MS || isBeyond ? rebuildFrom(s, state.primary) : undefined;
}

/** Where a timeline was left, as far as the state remembers. */
function forkOf(state: ClusterState, timeline: number) {
  if (state.initTimeline === timeline) return parseLsn(state.initWal);
  const left = state.deposed.find(peer => peer.forkTimeline === timeline);
  return left === undefined ? undefined : parseLsn(left.forkWal);
}
