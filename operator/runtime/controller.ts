import type { Logger } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { ApiError, isConflict } from '../../lib/kubernetes/api-error.ts';
import { type KubernetesObject, type Stored, textOfKey } from '../../lib/kubernetes/object.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { BackoffConfig } from './backoff.ts';
import type { Change, Informer } from './informer.ts';
import type { ControllerMetrics, RuntimeMetrics } from './metrics.ts';
import type { Request, Result } from './request.ts';
import { type Schedule, systemSchedule } from './timers.ts';
import { createWorkQueue, type Priority } from './work-queue.ts';

/** Which requests an object stands for: itself, its owner, whatever uses it. */
export type MapToRequests<T extends KubernetesObject> = (object: Stored<T>) => readonly Request[];

/** What makes a controller look: an informer's changes, mapped to requests. Made by `watching`. */
export interface Watch {
  /** Begins to tell; returns what ends that. */
  start(add: (request: Request, priority: Priority) => void): () => void;
  hasSynced(): boolean;
}

/**
 * Changes of `informer` that pass `filter` lead to the requests that `map` makes of the object, for an update of both
 * its states: what an object has stopped to stand for must look too.
 */
export function watching<T extends KubernetesObject>(
  informer: Informer<T>,
  map: MapToRequests<T>,
  filter: (change: Change<T>) => boolean = () => true,
): Watch {
  return {
    hasSynced: informer.hasSynced,
    start: add =>
      informer.subscribe(change => {
        if (!filter(change)) return;
        const priority = change.kind === 'added' && change.isInitial ? 'low' : 'high';
        if (change.kind === 'updated') for (const request of map(change.old)) add(request, priority);
        for (const request of map(change.object)) add(request, priority);
      }),
  };
}

/** What a reconcile is given besides the request. */
export interface ReconcileContext {
  /** Aborts when the controller stops for good, the lease is lost, or the reconcile takes too long. */
  readonly signal: AbortSignal;
  /** Names controller and object. */
  readonly logger: Logger;
}

/**
 * Makes the world what the object wants, as far as that goes now: reads state, never an event, and never waits. One
 * object is never reconciled twice at once. A throw is logged and tried again, later each time.
 */
export type Reconcile = (request: Request, context: ReconcileContext) => Promise<Result | undefined>;

export interface ControllerConfig {
  /** For logs and metrics. */
  readonly name: string;
  readonly watches: readonly Watch[];
  readonly reconcile: Reconcile;
  /** Default: 1. */
  readonly maxConcurrentReconciles?: number;
  /** After so long the signal aborts. Default: a minute. */
  readonly reconcileTimeoutMs?: number;
  /** Between failures of one object. Default: 5 ms, doubled up to a minute. */
  readonly backoff?: BackoffConfig;
}

export interface ControllerDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: Pick<RuntimeMetrics, 'controller'>;
  readonly schedule?: Schedule;
}

export interface Controller {
  readonly name: string;
  /** Everything that its watches hold is looked at once, after what changes. Call it when they have synced. */
  start(): void;
  /** For what no watch tells. */
  enqueue(request: Request): void;
  /** Lets running reconciles end for `drainMs`, then aborts them, and waits for them. Idempotent. */
  stop(drainMs: number): Promise<void>;
}

const DEFAULTS = {
  maxConcurrentReconciles: 1,
  reconcileTimeoutMs: 60_000,
  backoff: { baseMs: 5, maxMs: 60_000 },
};

export function createController(deps: ControllerDeps, given: ControllerConfig): Controller {
  const config = { ...DEFAULTS, ...given };
  const { clock, schedule = systemSchedule } = deps;
  const logger = deps.logger.child({ controller: config.name });
  const metrics = deps.metrics.controller(config.name);
  const queue = createWorkQueue({ clock, schedule, metrics: metrics.queue }, { backoff: config.backoff });
  const stopping = new AbortController();
  const ends: (() => void)[] = [];
  const workers: Promise<void>[] = [];
  metrics.watchQueue(queue);
  metrics.workers(config.maxConcurrentReconciles);

  async function work(): Promise<void> {
    for (let request = await queue.get(); request !== undefined; request = await queue.get()) {
      await attend(request);
      queue.done(request);
    }
  }

  async function attend(request: Request): Promise<void> {
    const log = logger.child({ object: textOfKey(request) });
    const started = clock.monotonic();
    metrics.started();
    try {
      const result = await reconcileInTime(request, log);
      queue.forget(request);
      const { requeueAfterMs } = result ?? {};
      if (requeueAfterMs !== undefined) queue.addAfter(request, requeueAfterMs);
      metrics.ended(requeueAfterMs === undefined ? 'success' : 'requeue_after', clock.monotonic() - started);
    } catch (error) {
      metrics.ended('error', clock.monotonic() - started);
      if (stopping.signal.aborted) return;
      logFailure(error, log, metrics);
      queue.addRateLimited(request, error instanceof ApiError ? (error.retryAfterS ?? 0) * 1_000 : 0);
    }
  }

  async function reconcileInTime(request: Request, log: Logger): Promise<Result | undefined> {
    const given = new AbortController();
    const follow = () => given.abort(stopping.signal.reason);
    stopping.signal.addEventListener('abort', follow, { once: true });
    const cancel = schedule(config.reconcileTimeoutMs, () => {
      metrics.timedOut();
      given.abort(new MantaError('ReconcileTimeout', `not done in ${config.reconcileTimeoutMs} ms`));
    });
    try {
      return await config.reconcile(request, { signal: given.signal, logger: log });
    } finally {
      cancel();
      stopping.signal.removeEventListener('abort', follow);
    }
  }

  return {
    name: config.name,
    enqueue: request => queue.add(request),
    start() {
      for (const watch of config.watches) ends.push(watch.start(queue.add));
      for (let count = 0; count < config.maxConcurrentReconciles; count += 1) workers.push(work());
      logger.info({ workers: config.maxConcurrentReconciles }, 'controller started');
    },
    async stop(drainMs) {
      for (const end of ends.splice(0)) end();
      queue.shutDown();
      const cancel = schedule(drainMs, () => stopping.abort(new MantaError('Stopping', 'the controller stops')));
      await Promise.all(workers);
      cancel();
    },
  };
}

/** Errors that the runtime of the language throws: a mistake of the program, as a panic is in Go. */
const MISTAKES = ['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'];

function logFailure(error: unknown, log: Logger, metrics: ControllerMetrics): void {
  if (isConflict(error)) {
    // The cache was behind; the next look is at what it has learned meanwhile.
    log.debug({ err: error }, 'reconcile met a newer object');
    return;
  }
  if (error instanceof Error && MISTAKES.includes(error.name)) {
    metrics.panicked();
    log.error({ err: error }, 'reconcile ended by a mistake');
    return;
  }
  log.warn({ err: error }, 'reconcile failed');
}
