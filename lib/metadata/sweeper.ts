import type { Logger } from 'pino';
import type { MetadataConfig } from './config.ts';
import type { Directories } from './directories.ts';
import type { Shard } from './shards.ts';
import type { DirPath } from './types.ts';

/** K4: one process at a time sweeps a shard. Correctness never depends on it. */
const K4 = 1296957444;

/**
 * Settles what crashed operations left half done on one shard, oldest first, and returns how many rows it looked after.
 * 0 when another process is at it. metadata.md §12.8.
 */
export async function sweepShard(
  deps: { directories: Directories; logger: Logger },
  shard: Shard,
  config: Pick<MetadataConfig, 'sweepAgeMs' | 'sweepRows'>,
  signal: AbortSignal,
): Promise<number> {
  const body = async () => {
    const rows = await shard.pool.query<{ path: DirPath }>(
      'SELECT path FROM unsettled_directories_v1($1, $2)',
      [config.sweepAgeMs, config.sweepRows],
      { signal },
    );
    let settled = 0;
    for (const { path } of rows) {
      signal.throwIfAborted();
      try {
        await deps.directories.repair(path, { signal, deadlineMs: 10_000 });
        settled += 1;
      } catch (error) {
        signal.throwIfAborted();
        deps.logger.warn({ shard: shard.number, err: error }, 'half-done directory not settled');
      }
    }
    return settled;
  };
  // A session that waits for the deadline of a whole sweep, not of one statement.
  return shard.pool.session(
    async session => {
      const locked = await session.query<{ ours: boolean }>(`SELECT pg_try_advisory_lock(${K4}, 0) AS ours`);
      if (locked[0]?.ours !== true) return 0;
      try {
        return await body();
      } finally {
        await session.query(`SELECT pg_advisory_unlock(${K4}, 0)`);
      }
    },
    { deadlineMs: SWEEP_MS },
  );
}

/** Milliseconds that one sweep of a shard may take. */
const SWEEP_MS = 300_000;
