import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { startTask, type Task } from '../../../lib/lifecycle/task.ts';
import { formatLsn, parseLsn } from '../../../lib/shard/lsn.ts';
import { type ArchiverConfig, createArchiver } from './archiver.ts';
import { type BaseBackupWish, makeBaseBackup } from './base-backup.ts';
import { firstHole, isBaseOn, listBases } from './catalogue.ts';
import type { Verified } from './manifest.ts';
import { applyRetention } from './retention.ts';
import type { BackupSite } from './site.ts';
import type { BackupTarget } from './target.ts';
import type { BackupWish } from './wish.ts';

/** What a person asking after the backups is told. Ages in seconds. */
export interface BackupStatus {
  readonly target: string;
  /** `base`: a base backup is being made. */
  readonly doing: 'archive' | 'base';
  readonly archivedThrough: string | undefined;
  readonly archivedAgeSeconds: number | undefined;
  /** Of the newest base backup that counts. */
  readonly backupAgeSeconds: number | undefined;
  readonly failure: string | undefined;
  readonly baseFailure: string | undefined;
}

/** The backups of a peer (replication.md §11.13), beside the loop and unknown to it. */
export interface Backups {
  /** Undefined: this peer makes none. */
  status(): BackupStatus | undefined;
  /** Ends at once whatever the server would wait for when it stops. */
  letGo(): void;
  stop(): Promise<void>;
}

export interface BackupDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly site: BackupSite;
  /** Throws MantaError for an address that names no target. */
  readonly open: (address: string) => BackupTarget;
  /** As of now; undefined: this peer is not to make backups. */
  readonly wish: () => BackupWish | undefined;
  readonly peer: string;
}

export interface BackupTimes extends ArchiverConfig, Pick<BaseBackupWish, 'maxRateKb'> {
  /** Between two looks for WAL that is complete. */
  readonly everyMs: number;
  /** How long after the last wish what the server keeps is still kept: it may be only starting. */
  readonly graceMs: number;
  /** After a failure. */
  readonly retryMs: number;
  /** Between base backups. */
  readonly baseEveryMs: number;
  /** After a base backup that failed. */
  readonly baseRetryMs: number;
}

/** A base backup a day, and WAL not older than a minute; both slow enough not to be felt. */
export const backupTimes: BackupTimes = {
  everyMs: 1_000,
  partialMs: 60_000,
  maxWaiting: 16,
  graceMs: 30_000,
  retryMs: 5_000,
  baseEveryMs: 86_400_000,
  baseRetryMs: 300_000,
  maxRateKb: 50 * 1024,
};

/** How long a base backup waits for the WAL that makes it whole. */
const ARCHIVED_WITHIN_MS = 600_000;

/** How long a server that stops is left alone. */
const PAUSE_MS = 3_000;

/** Starts the tasks; they do nothing until there is a wish. */
export function startBackups(deps: BackupDeps, times: BackupTimes = backupTimes): Backups {
  const { logger, clock } = deps;
  const now = () => clock.monotonic();
  const archiver = createArchiver({ ...deps, now }, times);
  const archiving = createTrouble(logger, 'archive');
  const making = createTrouble(logger, 'base backup');
  /** When the newest base backup of the target ended that reaches the present; undefined: not looked yet. */
  let newest: { readonly endedAt: number | undefined } | undefined;
  /** Gaps of the archive that a base backup has been made behind. */
  let coveredGaps = 0;
  let current: AbortController | undefined;
  let isMaking = false;
  let target: string | undefined;
  let wishedAt = now();
  let pausedUntil = Number.NEGATIVE_INFINITY;

  async function archive(signal: AbortSignal): Promise<void> {
    const wish = deps.wish();
    if (wish?.target !== target) {
      current?.abort(new Error('this peer makes no backups there any more'));
      newest = undefined;
    }
    target = wish?.target;
    if (wish !== undefined) wishedAt = now();
    if (now() < pausedUntil) return;
    try {
      if (wish !== undefined) await archiver.step(wish, signal);
      else if (now() - wishedAt < times.graceMs) await archiver.pause();
      else await archiver.leave();
      archiving.over();
    } catch (error) {
      if (signal.aborted) return;
      // A server that is not there has nothing to be given up.
      if (wish === undefined && codeOf(error) === 'PostgresOffline') return;
      archiving.failed(error);
      await sleep(times.retryMs, undefined, { signal }).catch(() => {});
    }
  }

  async function untilArchived({ stopLsn }: Verified, signal: AbortSignal): Promise<void> {
    const until = now() + ARCHIVED_WITHIN_MS;
    while ((archiver.through()?.position ?? 0n) < parseLsn(stopLsn)) {
      if (now() > until) throw new MantaError('BackupInvalid', `the archive has not come to ${stopLsn}`);
      archiver.hurry();
      await sleep(times.everyMs, undefined, { signal });
    }
  }

  /** Base backups whose WAL has a hole do not reach the present, as if there were none. */
  async function look(opened: BackupTarget, { path }: BackupWish, segmentBytes: number, signal: AbortSignal) {
    const last = (await listBases(opened, signal)).filter(made => isBaseOn(path, made)).at(-1);
    const hole = last && (await firstHole(opened, path, parseLsn(last.startLsn), segmentBytes, signal));
    return { endedAt: last === undefined || hole !== undefined ? undefined : Date.parse(last.endedAt) };
  }

  /** One base backup, when one is due and the archive goes on. */
  async function base(stopping: AbortSignal): Promise<void> {
    const wish = deps.wish();
    const segmentBytes = archiver.segmentBytes();
    if (wish === undefined || segmentBytes === undefined || now() < pausedUntil) return;
    current = new AbortController();
    const signal = AbortSignal.any([stopping, current.signal]);
    try {
      const opened = deps.open(wish.target);
      newest ??= await look(opened, wish, segmentBytes, signal);
      const { endedAt } = newest;
      const gaps = archiver.gaps();
      if (endedAt !== undefined && gaps === coveredGaps && clock.now() - endedAt < times.baseEveryMs) return;
      isMaking = true;
      const made = await makeBaseBackup(
        { site: deps.site, target: opened, now: () => clock.now(), untilArchived },
        // Until there is one, nothing can be restored: that is worth a checkpoint.
        { peer: deps.peer, checkpoint: endedAt === undefined ? 'fast' : 'spread', maxRateKb: times.maxRateKb },
        signal,
      );
      newest = { endedAt: Date.parse(made.endedAt) };
      coveredGaps = gaps;
      logger.info({ base: made }, 'base backup made');
      await applyRetention(opened, { recoveryDays: wish.recoveryDays, segmentBytes, now: clock.now() }, signal);
      making.over();
    } catch (error) {
      isMaking = false;
      if (signal.aborted) return;
      making.failed(error);
      await sleep(times.baseRetryMs, undefined, { signal }).catch(() => {});
    } finally {
      isMaking = false;
      current = undefined;
    }
  }

  const tasks: readonly Task[] = [
    startTask('archive', times.everyMs, archive, { logger }),
    startTask('archive-bound', times.everyMs, () => archiver.bound(), { logger }),
    startTask('base-backup', times.everyMs * 10, base, { logger }),
  ];

  return {
    status() {
      if (target === undefined) return undefined;
      const through = archiver.through();
      const archivedAt = archiver.archivedAt();
      return {
        target,
        doing: isMaking ? 'base' : 'archive',
        archivedThrough: through && `${through.timeline}: ${formatLsn(through.position)}`,
        archivedAgeSeconds: archivedAt === undefined ? undefined : (now() - archivedAt) / 1_000,
        backupAgeSeconds: newest?.endedAt === undefined ? undefined : (clock.now() - newest.endedAt) / 1_000,
        failure: archiving.last(),
        baseFailure: making.last(),
      };
    },
    letGo() {
      // The wish follows what the loop sees, and that a little later.
      pausedUntil = now() + PAUSE_MS;
      current?.abort(new Error('the server stops'));
      archiver.kill();
    },
    async stop() {
      archiver.kill();
      await Promise.all(tasks.map(task => task.stop()));
      archiver.kill();
    },
  };
}

/** A failure that repeats is logged once. */
function createTrouble(logger: Logger, what: string) {
  let last: string | undefined;
  return {
    last: () => last,
    failed(error: unknown) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== last) logger.warn({ what, code: codeOf(error), err: error }, 'backup failed');
      last = message;
    },
    over() {
      if (last !== undefined) logger.info({ what }, 'backup goes on');
      last = undefined;
    },
  };
}
