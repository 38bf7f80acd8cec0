import { DatabaseError } from '../database/failure.ts';
import type { Pool } from '../database/pool.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { MetadataMetrics } from './metrics.ts';
import { batchJson, type Mutation, type Outcome } from './mutation.ts';

export interface BatcherConfig {
  readonly batchRows: number;
  readonly batchesInFlight: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

/**
 * settled: the database's answer. alone: the row must be sent by itself; `repeated` when it may have been committed
 * already by the batch.
 */
export type BatchOutcome =
  | { readonly kind: 'settled'; readonly outcome: Outcome }
  | { readonly kind: 'alone'; readonly repeated: boolean };

/** Group commit for one shard. */
export interface Batcher {
  /**
   * Rejects with DatabaseError `unavailable` when the row was certainly not committed, and with the signal's reason on
   * abort; a row that is on its way by then goes on.
   */
  submit(mutation: Mutation, signal?: AbortSignal): Promise<BatchOutcome>;
  readonly waiting: number;
}

interface Waiting {
  readonly mutation: Mutation;
  /** Monotonic time since which only the shard has kept it waiting. */
  since: number;
  resolve(outcome: BatchOutcome): void;
  reject(error: unknown): void;
}

/** Results of a row that the caller has to settle by itself. */
const NOT_SETTLED = new Set(['alone', 'read_only', 'moved']);

/**
 * Mutations that arrive while batches are in flight are sent together as the next one; there is no timer. A name is in
 * one batch at a time, so that the rows of one batch never wait for another. metadata.md §12.16.
 */
export function createBatcher(
  deps: { pool: Pool; clock: Clock; metrics: MetadataMetrics },
  config: BatcherConfig,
): Batcher {
  const queue = new Set<Waiting>();
  const names = new Set<string>();
  let inFlight = 0;
  let expiry: NodeJS.Timeout | undefined;
  let scheduled = false;

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    // Callers that were woken by one reply submit their next rows in the same turn: let them share a batch.
    setImmediate(() => {
      scheduled = false;
      while (inFlight < config.batchesInFlight && dispatch());
      watchQueue();
    });
  }

  function dispatch(): boolean {
    const batch: Waiting[] = [];
    for (const item of queue) {
      if (batch.length === config.batchRows) break;
      if (names.has(item.mutation.key)) {
        // It waits for its turn on a busy name, which says nothing about the shard's load.
        item.since = deps.clock.monotonic();
        continue;
      }
      names.add(item.mutation.key);
      queue.delete(item);
      batch.push(item);
    }
    if (batch.length === 0) return false;
    inFlight += 1;
    send(batch).finally(() => {
      inFlight -= 1;
      for (const { mutation } of batch) names.delete(mutation.key);
      schedule();
    });
    return true;
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    const started = deps.clock.monotonic();
    try {
      const rows = await deps.pool.query<{ ord: number; result: string; rev: Outcome['rev']; mtime_ms: number | null }>(
        'SELECT ord, result, rev, mtime_ms FROM mutate_v1($1)',
        [batchJson(batch.map(item => item.mutation))],
      );
      deps.metrics.batchSent(deps.pool.name, batch.length, (deps.clock.monotonic() - started) / 1000);
      for (const row of rows) {
        batch[row.ord]?.resolve(
          NOT_SETTLED.has(row.result)
            ? { kind: 'alone', repeated: false }
            : { kind: 'settled', outcome: { result: row.result, rev: row.rev, mtimeMs: row.mtime_ms } },
        );
      }
      // A row without an answer must not wait for ever; none is known to happen.
      for (const item of batch) item.resolve({ kind: 'alone', repeated: true });
    } catch (error) {
      fail(batch, error);
    }
  }

  /** One bad row must not fail the others: each goes on by itself, and only the offender meets the error again. */
  function fail(batch: readonly Waiting[], error: unknown): void {
    const kind = error instanceof DatabaseError ? error.kind : 'unknown';
    for (const item of batch) {
      if (kind === 'unavailable') item.reject(error);
      else item.resolve({ kind: 'alone', repeated: kind === 'unknown' });
    }
  }

  /** Sheds what the shard has kept waiting for too long; one timer serves the whole queue. */
  function watchQueue(): void {
    if (queue.size === 0 || expiry !== undefined) return;
    expiry = setTimeout(() => {
      expiry = undefined;
      const now = deps.clock.monotonic();
      for (const item of queue) {
        if (now - item.since < config.maxWaitMs) continue;
        queue.delete(item);
        item.reject(new DatabaseError('unavailable', 'waited too long for a batch'));
      }
      watchQueue();
    }, config.maxWaitMs / 2);
    expiry.unref();
  }

  return {
    get waiting() {
      return queue.size;
    },
    submit(mutation, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (queue.size >= config.maxWaiting) {
          return reject(new DatabaseError('unavailable', 'too many mutations are waiting'));
        }
        const abort = () => {
          queue.delete(item);
          item.reject(signal?.reason);
        };
        const settle = () => signal?.removeEventListener('abort', abort);
        const item: Waiting = {
          mutation,
          since: deps.clock.monotonic(),
          resolve: outcome => {
            settle();
            resolve(outcome);
          },
          reject: error => {
            settle();
            reject(error);
          },
        };
        signal?.addEventListener('abort', abort, { once: true });
        queue.add(item);
        schedule();
      });
    },
  };
}
