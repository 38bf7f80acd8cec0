import type { Logger } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Failures } from './failures.ts';
import type { Jobs } from './ports.ts';
import type { JobKind, JobView } from './snapshot.ts';

type JobRun = Parameters<Jobs['start']>[1];

/** The one long-running job, with what a snapshot shows of it. */
export interface RunningJobs extends Jobs {
  current(): JobView | undefined;
  /** How far a base backup or a rewind has come, 0 to 1. */
  progress(): number | undefined;
  /** The last checkpoint that ended well. */
  lastCheckpoint(): { readonly at: number; readonly tookMs: number } | undefined;
  /** Aborts the job and resolves once it has ended. */
  stop(): Promise<void>;
}

/**
 * Runs what takes longer than an action may (replication.md §4.2), one at a time. `onEnd` is called when one has ended,
 * however it did. A job that was aborted has not failed.
 */
export function createJobs(
  deps: { readonly logger: Logger; readonly now: () => number; readonly failures: Failures },
  onEnd: () => void,
): RunningJobs {
  const { logger, now, failures } = deps;
  let job: { readonly view: JobView; readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  let progress: number | undefined;
  let lastCheckpoint: { at: number; tookMs: number } | undefined;

  async function work(kind: JobKind, since: number, run: JobRun, signal: AbortSignal): Promise<void> {
    try {
      signal.throwIfAborted();
      await run(signal, part => {
        progress = part;
      });
      failures.succeeded(kind);
      // What failed in the directory of before says nothing of the new one.
      if (kind === 'base-backup') failures.succeeded('rewind');
      if (kind === 'checkpoint') lastCheckpoint = { at: now(), tookMs: now() - since };
      logger.info({ job: kind, tookMs: Math.round(now() - since) }, 'job done');
    } catch (error) {
      if (signal.aborted) logger.info({ job: kind, reason: String(error) }, 'job aborted');
      else failures.failed(kind, error);
    } finally {
      job = undefined;
      progress = undefined;
      onEnd();
    }
  }

  return {
    start(kind, run) {
      if (job !== undefined) throw new MantaError('JobRunning', `${kind} cannot start during ${job.view.kind}`);
      const abort = new AbortController();
      const since = now();
      progress = undefined;
      // Begun after `job` is set: a run that fails at once must not leave it behind.
      const ended = Promise.resolve().then(() => work(kind, since, run, abort.signal));
      job = { view: { kind, since }, abort, ended };
      logger.info({ job: kind }, 'job started');
    },
    abort: () => job?.abort.abort(),
    current: () => job?.view,
    progress: () => progress,
    lastCheckpoint: () => lastCheckpoint,
    async stop() {
      job?.abort.abort();
      await job?.ended;
    },
  };
}
