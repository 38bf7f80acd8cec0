import type { Logger } from 'pino';
import { createPool, type Pool } from '../database/pool.ts';
import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { type Batcher, createBatcher } from './batch.ts';
import type { MetadataConfig } from './config.ts';
import type { MetadataMetrics } from './metrics.ts';

/** One index database as this process uses it. */
export interface Shard {
  readonly number: number;
  /** For everything but batches. */
  readonly pool: Pool;
  readonly batches: Batcher;
}

export interface Shards {
  /** Throws MantaError `ServiceUnavailable` for a shard that the ring names and the configuration does not. */
  get(shard: number): Shard;
  readonly all: readonly Shard[];
  close(): Promise<void>;
}

/** Batches have connections of their own, so that what waits for locks cannot keep them from being sent. */
export function createShards(
  deps: { logger: Logger; clock: Clock; metrics: MetadataMetrics },
  config: MetadataConfig,
): Shards {
  const pools: Pool[] = [];
  const shards = new Map<number, Shard>();
  for (const { shard, connection } of config.shards) {
    const limits = { ...config.pool, maxWaiting: config.maxWaiting, maxWaitMs: config.maxWaitMs };
    const pool = createPool(deps, connection, { ...limits, name: `index-${shard}`, size: config.poolSize });
    const batchPool = createPool(deps, connection, {
      ...limits,
      name: `index-${shard}-batches`,
      size: config.batchesInFlight,
    });
    pools.push(pool, batchPool);
    shards.set(shard, { number: shard, pool, batches: createBatcher({ ...deps, pool: batchPool }, config) });
  }
  return {
    get(shard) {
      const found = shards.get(shard);
      if (found === undefined) throw new MantaError('ServiceUnavailable', `shard ${shard} is not configured here`);
      return found;
    },
    all: [...shards.values()],
    async close() {
      await Promise.all(pools.map(pool => pool.close()));
    },
  };
}
