import type { DatabaseTarget } from '../database/moving-target.ts';
import type { PoolConfig } from '../database/pool.ts';
import { poolDefaults } from '../database/pool.ts';

/** One index database that the ring may name. */
export interface ShardConfig {
  readonly shard: number;
  readonly connection: DatabaseTarget;
}

export interface MetadataConfig {
  readonly shards: readonly ShardConfig[];
  readonly control: DatabaseTarget;
  /** Connections per shard for everything but batches. */
  readonly poolSize: number;
  /** Rows of a batch, at most; and batches in flight per shard (metadata.md §12.16). */
  readonly batchRows: number;
  readonly batchesInFlight: number;
  /** Mutations that may wait for a batch, and for how many milliseconds (§12.12). */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** T_op, milliseconds: how long one mutation may be repeated while its outcome is unknown (§8.2). */
  readonly operationMs: number;
  /** Milliseconds that a read may take in all. */
  readonly readMs: number;
  /** Milliseconds for which a call waits out a range that is being handed over (§13.3). */
  readonly fenceMs: number;
  /** Milliseconds for which mkdir and rmdir wait for somebody else's half-done operation on the same path (§12.8). */
  readonly unsettledMs: number;
  /** Milliseconds between looks at the ring. */
  readonly ringRefreshMs: number;
  /** Milliseconds after which a silent shard is asked whether it is there. */
  readonly probeMs: number;
  /** Age in milliseconds from which the sweeper settles a half-done operation. */
  readonly sweepAgeMs: number;
  /** Directories that one sweep settles per shard. */
  readonly sweepRows: number;
  /** Limits of every pool; see PoolConfig. */
  readonly pool: Omit<PoolConfig, 'name' | 'size' | 'maxWaiting' | 'maxWaitMs'>;
}

export const metadataDefaults: Omit<MetadataConfig, 'shards' | 'control'> = {
  poolSize: 12,
  batchRows: 256,
  batchesInFlight: 2,
  maxWaiting: 2_000,
  maxWaitMs: 500,
  operationMs: 60_000,
  readMs: 10_000,
  fenceMs: 5_000,
  unsettledMs: 2_000,
  ringRefreshMs: 5_000,
  probeMs: 500,
  sweepAgeMs: 30_000,
  sweepRows: 100,
  pool: { ...poolDefaults, statementTimeoutMs: 10_000 },
};
