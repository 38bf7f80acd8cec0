import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { createSession, type Session } from '../pg/session.ts';
import { type Archive, type ArchivedThrough, createArchive } from './archive.ts';
import { claimTarget, type SystemFacts } from './catalogue.ts';
import { isWalGone, startReceiver, type WalReceiver } from './receiver.ts';
import type { BackupSite } from './site.ts';
import { dropArchiveSlot, keepArchiveSlot } from './slot.ts';
import { createSpool, type Spool } from './spool.ts';
import type { BackupTarget } from './target.ts';
import type { BackupWish } from './wish.ts';

/** The WAL archive of this peer, a step at a time. */
export interface Archiver {
  /** Receives, archives what there is, and returns. Rejects with what stands in the way; the next step begins anew. */
  step(wish: BackupWish, signal: AbortSignal): Promise<void>;
  /** Stops receiving while too much waits; to be called beside `step`, which may take as long as the target likes. */
  bound(): Promise<void>;
  /** This peer does not archive now. What the server keeps for it, and what waits, stays. */
  pause(): Promise<void>;
  /** This peer archives no more: what the server keeps for it, and the spool, are given up. */
  leave(): Promise<void>;
  /** Ends the receiver at once: a server that stops waits for it. */
  kill(): void;
  /** Makes the next step archive the file in progress. */
  hurry(): void;
  through(): ArchivedThrough | undefined;
  /** When, by the monotonic clock, everything that had been received was archived. */
  archivedAt(): number | undefined;
  /** How often the archive has begun anew: base backups of before do not reach the present. */
  gaps(): number;
  segmentBytes(): number | undefined;
}

export interface ArchiverConfig {
  /** Between two archivings of the file in progress. */
  readonly partialMs: number;
  /** Files of WAL that may wait for the target before no more are received: the server keeps them then. */
  readonly maxWaiting: number;
}

interface Run {
  readonly key: string;
  readonly target: BackupTarget;
  readonly archive: Archive;
  readonly spool: Spool;
  readonly segmentBytes: number;
  receiver: WalReceiver | undefined;
}

const QUERY_MS = 5_000;

export function createArchiver(
  deps: {
    readonly logger: Logger;
    readonly now: () => number;
    readonly site: BackupSite;
    readonly open: (address: string) => BackupTarget;
  },
  config: ArchiverConfig,
): Archiver {
  const { logger, now, site } = deps;
  const directory = join(site.dataDir, 'backup');
  const session: Session = createSession(site.address, { name: 'archive', deadlineMs: QUERY_MS });
  let run: Run | undefined;
  let archivedAt: number | undefined;
  let progressAt = Number.NEGATIVE_INFINITY;
  let mayHoldSlot = true;
  let gaps = 0;
  /** The WAL to go on with is gone: what follows begins where the server's begins. */
  let isLost = false;

  async function begin(wish: BackupWish, key: string, signal: AbortSignal): Promise<Run> {
    const segmentBytes = await segmentBytesOf(session);
    const target = deps.open(wish.target);
    const system: SystemFacts = { v: 1, ...wish.system, segmentBytes };
    await claimTarget(target, system, signal);
    mayHoldSlot = true;
    await keepArchiveSlot(session);
    const spool = createSpool(site.account, directory, segmentBytes);
    const archive = createArchive({ target, spool });
    let after = await archive.resume(wish.path, signal);
    if (isLost) {
      await spool.beginAfter(undefined);
      after = undefined;
    }
    if (after === undefined) gaps += 1;
    isLost = false;
    logger.info(
      { target: target.url, after: after?.number.toString(16), timeline: after?.timeline },
      'archive goes on',
    );
    return { key, target, archive, spool, segmentBytes, receiver: startReceiver(site, directory) };
  }

  const isFull = async ({ archive }: Run) => (await archive.waiting()) > config.maxWaiting;

  /** The receiver runs unless the target is so far behind that the spool would grow. */
  async function keepReceiver(current: Run): Promise<void> {
    const { receiver } = current;
    if (receiver?.isRunning === true) return;
    const failure = receiver?.failure();
    current.receiver = undefined;
    if (failure !== undefined) {
      isLost = isWalGone(failure);
      run = undefined;
      throw failure;
    }
    if (await isFull(current)) return;
    await current.spool.dropProgress();
    current.receiver = startReceiver(site, directory);
  }

  async function step(wish: BackupWish, signal: AbortSignal): Promise<void> {
    const key = JSON.stringify([wish.target, wish.system, wish.incarnation]);
    if (run?.key !== key) {
      await stopRun();
      run = await begin(wish, key, signal);
    }
    const current = run;
    const { archive } = current;
    const startedAt = now();
    await archive.complete(signal);
    await keepReceiver(current);
    if (startedAt - progressAt < config.partialMs) return;
    await archive.progress(signal);
    progressAt = startedAt;
    if (current.receiver?.isRunning === true && archive.through() !== undefined) archivedAt = startedAt;
  }

  async function stopRun(): Promise<void> {
    const before = run;
    run = undefined;
    archivedAt = undefined;
    progressAt = Number.NEGATIVE_INFINITY;
    if (before !== undefined) await stopReceiver(before);
  }

  return {
    step,
    async bound() {
      const current = run;
      if (current?.receiver?.isRunning === true && (await isFull(current))) await stopReceiver(current);
    },
    pause: stopRun,
    async leave() {
      await stopRun();
      if (!mayHoldSlot || !(await dropArchiveSlot(session))) return;
      mayHoldSlot = false;
      session.drop();
      await rm(directory, { recursive: true, force: true });
    },
    kill() {
      run?.receiver?.kill();
      session.drop();
    },
    hurry() {
      progressAt = Number.NEGATIVE_INFINITY;
    },
    through: () => run?.archive.through(),
    archivedAt: () => archivedAt,
    gaps: () => gaps,
    segmentBytes: () => run?.segmentBytes,
  };
}

async function stopReceiver(run: Run): Promise<void> {
  const { receiver } = run;
  run.receiver = undefined;
  receiver?.kill();
  await receiver?.ended;
}

async function segmentBytesOf(session: Session): Promise<number> {
  const [row] = await session.query<{ bytes: number }>(
    `SELECT setting::int AS bytes FROM pg_settings WHERE name = 'wal_segment_size'`,
  );
  return row?.bytes ?? 0;
}
