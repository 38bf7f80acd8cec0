import type { Logger } from 'pino';
import { DatabaseError } from '../database/failure.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { doubling, jittered, pause } from './backoff.ts';
import type { MetadataConfig } from './config.ts';
import type { MetadataMetrics } from './metrics.ts';
import type { RingCache } from './ring.ts';
import type { Shard, Shards } from './shards.ts';
import type { CallOptions } from './types.ts';

/** What one attempt of a call knows. */
export interface Attempt {
  /** True when an earlier attempt may have been committed (metadata.md §12.7). */
  readonly repeated: boolean;
  /** For statements of this attempt: the caller's signal and what is left of its time. */
  readonly options: { readonly signal?: AbortSignal | undefined; readonly deadlineMs: number };
}

export interface RouteOptions extends CallOptions {
  /** The outcome of an attempt outside this call is unknown already. */
  readonly repeated?: boolean;
}

/** Finds the shard of a vnode and repeats what may be repeated. */
export interface Router {
  shardOf(vnode: number, signal?: AbortSignal): Promise<Shard>;
  /**
   * Runs `body` on the shard of `vnode`: again after a refused fence for up to `fenceMs` (§13.3), three times after lock
   * conflicts, and, once an outcome is unknown, until the deadline (§12.12). Throws DatabaseError when that was not enough,
   * of kind `unknown` at the deadline, and whatever else the body throws.
   */
  route<T>(vnode: number, options: RouteOptions, body: (shard: Shard, attempt: Attempt) => Promise<T>): Promise<T>;
}

const LOCK_CONFLICTS = 3;

interface Progress {
  repeated: boolean;
  fenced: number;
  conflicts: number;
  unknown: number;
}

export function createRouter(
  deps: {
    ring: RingCache;
    shards: Shards;
    clock: Clock;
    random: () => number;
    metrics: MetadataMetrics;
    logger: Logger;
  },
  config: Pick<MetadataConfig, 'fenceMs' | 'operationMs'>,
): Router {
  async function shardOf(vnode: number, signal?: AbortSignal): Promise<Shard> {
    return deps.shards.get(await deps.ring.shardOf(vnode, signal));
  }

  /** Milliseconds to wait before the next attempt; undefined gives up. */
  async function delayAfter(error: DatabaseError, progress: Progress, elapsedMs: number): Promise<number | undefined> {
    switch (error.kind) {
      case 'moved':
        // The shard knows better than the cached ring. When control cannot be asked, the next attempt finds out.
        await deps.ring.refresh().catch(cause => deps.logger.debug({ err: cause }, 'ring refresh failed'));
        return elapsedMs < config.fenceMs ? doubling(progress.fenced++, 1, 50) : undefined;
      case 'read_only':
        return elapsedMs < config.fenceMs ? doubling(progress.fenced++, 1, 50) : undefined;
      case 'retry':
        // An unknown first attempt may itself be what holds the lock, for as long as its commit waits for the standby.
        progress.conflicts += 1;
        if (progress.repeated) return doubling(progress.unknown++, 20, 500);
        return progress.conflicts <= LOCK_CONFLICTS ? 10 * progress.conflicts : undefined;
      case 'unknown':
        progress.repeated = true;
        return doubling(progress.unknown++, 20, 500);
      case 'unavailable':
        return progress.repeated ? doubling(progress.unknown++, 20, 500) : undefined;
      case 'rejected':
        return undefined;
    }
  }

  async function route<T>(
    vnode: number,
    options: RouteOptions,
    body: (shard: Shard, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const started = deps.clock.monotonic();
    const limitMs = options.deadlineMs ?? config.operationMs;
    const progress: Progress = { repeated: options.repeated ?? false, fenced: 0, conflicts: 0, unknown: 0 };
    for (;;) {
      const leftMs = limitMs - (deps.clock.monotonic() - started);
      if (leftMs <= 0) throw new DatabaseError('unknown', 'the deadline passed before an answer came');
      try {
        const shard = await shardOf(vnode, options.signal);
        return await body(shard, {
          repeated: progress.repeated,
          options: { signal: options.signal, deadlineMs: leftMs },
        });
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        const delayMs = await delayAfter(error, progress, deps.clock.monotonic() - started);
        if (delayMs === undefined) throw error;
        deps.metrics.retried(error.kind);
        await pause(jittered(delayMs, deps.random), options.signal);
      }
    }
  }

  return { shardOf, route };
}
