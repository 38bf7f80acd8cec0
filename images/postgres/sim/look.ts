import { createFollowing } from '../following.ts';
import type { Answered, DirectoryView, ProcessView, SenderView, ServerView } from '../server.ts';
import type { Instance, Machine } from './instance.ts';
import { position, positionsOf, senderRow } from './postgres.ts';
import type { Clock, Life } from './scheduler.ts';
import type { Volume } from './volume.ts';

/** What a look is taken at. */
export interface Scene {
  readonly running: Instance | undefined;
  readonly stopping: boolean;
  readonly crashedAt: number | undefined;
  readonly starts: readonly number[];
  readonly volume: Volume;
  readonly files: Machine['files'];
  readonly pgMajor: number;
}

/** Makes the view of a server and remembers what a view says of earlier ones: since when, and when last. */
export function createLook(life: Life, clock: Clock): { view(scene: Scene): ServerView } {
  let answered: Answered | undefined;
  let seen: Instance | undefined;
  let unansweredSince: number | undefined;
  let replayMovedAt: number | undefined;
  const following = createFollowing();
  const rows = new Map<number, SenderView>();
  const monotonic = (worldMs: number | undefined) =>
    worldMs === undefined ? undefined : clock.startedAt + worldMs * clock.rate;

  function lookAt(running: Instance): Answered {
    const now = life.now();
    const positions = positionsOf(running);
    const before = answered?.replayed;
    const isLevel = positions.received === undefined || (positions.replayed ?? 0n) >= positions.received;
    if (positions.replayed !== undefined && (isLevel || positions.replayed !== before)) replayMovedAt = now;
    const senders = [...running.senders].map(sender => {
      const row = senderRow(sender);
      const last = rows.get(row.pid);
      const isReply = last === undefined || last.replyTime !== row.replyTime;
      const isMoved = last === undefined || last.flushed !== row.flushed || row.flushed === positions.flushed;
      const view = {
        ...row,
        repliedAt: isReply ? now : last.repliedAt,
        flushMovedAt: isMoved ? now : last.flushMovedAt,
      };
      rows.set(row.pid, view);
      return view;
    });
    const { ssn, readOnly } = running.postmasterSettings;
    const stream = [...running.receivers].find(receiver => receiver.phase === 'streaming');
    return {
      ...positions,
      at: now,
      ancestry: running.directory.wal.ancestry.map(({ timeline, end }) => ({ timeline, end: position(end) })),
      ssn,
      readOnly,
      senders,
      commitWaitingSince: monotonic(running.sync.waitingSince),
      streamMovedAt: monotonic(running.streamMovedAt),
      isStreaming: stream !== undefined,
      replayMovedAt,
      followedAt: running.inRecovery ? following.take(stream?.startedAt, positions.replayed, now) : undefined,
    };
  }

  return {
    view({ running, stopping, crashedAt, starts, volume, files, pgMajor }) {
      if (running !== seen) {
        answered = undefined;
        unansweredSince = undefined;
        replayMovedAt = undefined;
        following.forget();
        rows.clear();
        seen = running;
      }
      if (running?.phase === 'up' && !running.backends.isPaused) {
        answered = lookAt(running);
        unansweredSince = undefined;
      } else if (running?.phase === 'up') unansweredSince ??= life.now();
      return {
        process: processOf(running, stopping),
        directory: directoryOf(volume, running !== undefined, pgMajor),
        oldIncarnations: volume.directories
          .filter(directory => directory !== volume.current)
          .map(({ incarnation }) => incarnation),
        written: files.settings,
        receiverPassword: files.password,
        answered,
        unansweredSince,
        crashedAt,
        starts,
        free: volume.isFull ? { ratio: 0, bytes: 0 } : { ratio: 0.5, bytes: 500 * 1024 ** 3 },
        drift: undefined,
      };
    },
  };
}

function processOf(running: Instance | undefined, stopping: boolean): ProcessView {
  if (running === undefined) return { kind: 'none' };
  if (running.phase === 'remains') return { kind: 'remains' };
  if (stopping || running.phase === 'stopping') return { kind: 'stopping' };
  return running.phase === 'starting' ? { kind: 'starting' } : { kind: 'up' };
}

function directoryOf(volume: Volume, isRunning: boolean, pgMajor: number): DirectoryView {
  const directory = volume.current;
  if (directory === undefined) return { kind: volume.directories.length > 0 ? 'unfinished' : 'none' };
  const { incarnation, systemId, wal, state, isToFollow } = directory;
  const isClean = !isRunning && state.startsWith('shut down');
  const end = state === 'shut down' ? wal.insertAt : wal.completeEnd;
  return {
    kind: 'usable',
    incarnation,
    systemId,
    pgMajor,
    timeline: wal.timeline,
    isClean,
    end: isClean ? position(end) : undefined,
    wasStandby: state.endsWith('in recovery') || isToFollow,
  };
}
