import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { DatabaseTarget } from '../database/moving-target.ts';
import { createPool } from '../database/pool.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { startTask } from '../lifecycle/task.ts';
import { type MetadataConfig, metadataDefaults, type ShardConfig } from './config.ts';
import { createDirectories } from './directories.ts';
import { createLinks } from './links.ts';
import { createMetrics } from './metrics.ts';
import { createMutations } from './mutations.ts';
import { childrenOf, vnodeOf } from './path.ts';
import { createReads } from './reads.ts';
import { createRingCache } from './ring.ts';
import { createRouter, type Router } from './router.ts';
import { createShards, type Shard } from './shards.ts';
import { sweepShard } from './sweeper.ts';
import type { AbandonedUpload, Metadata, Place } from './types.ts';

export interface MetadataDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random?: () => number;
  readonly registry?: Registry;
}

/** What must be said; everything else has a default in config.ts. */
export type MetadataSettings = Partial<MetadataConfig> & {
  readonly shards: readonly ShardConfig[];
  readonly control: DatabaseTarget;
};

/**
 * The namespace over the given index databases. Starts at once and in the background: until the ring is loaded and every
 * shard has answered, `isAvailable` is false and calls wait or throw `ServiceUnavailable`.
 */
export function createMetadata(deps: MetadataDeps, settings: MetadataSettings): Metadata {
  const config: MetadataConfig = { ...metadataDefaults, ...settings };
  const { logger, clock } = deps;
  const random = deps.random ?? Math.random;
  const control = createPool({ logger, clock }, config.control, {
    ...config.pool,
    name: 'control-ring',
    size: 2,
    maxWaiting: config.maxWaiting,
    maxWaitMs: config.pool.connectMs,
  });
  const ring = createRingCache({ control, logger });
  const metrics = createMetrics(deps.registry ?? new Registry(), () =>
    shards.all.map(shard => [shard.pool.name, shard.batches.waiting] as const),
  );
  const shards = createShards({ logger, clock, metrics }, config);
  const router = createRouter({ ring, shards, clock, random, metrics, logger }, config);
  const reads = createReads({ router }, config);
  const directories = createDirectories({ router, reads, clock, random, metrics }, config);
  const mutations = createMutations({ router, reads, directories, clock, random, metrics }, config);
  const links = createLinks({ router, reads, directories, clock, random }, config);

  const following = startTask('ring', config.ringRefreshMs, () => ring.refresh(), { logger });
  // Shards that are in use are not asked: what they answered lately is known.
  const probing = startTask('shard-probe', config.probeMs, () => probe(shards.all, config.probeMs), { logger });
  let closed: Promise<void> | undefined;

  return {
    get: (place, options = {}) => reads.get(place, options),
    getForWrite: (place, options = {}) => reads.getForWrite(place, options),
    list: (dir, query, options = {}) => reads.list(dir, query, options),
    putObject: (place, object, expect, options = {}) => mutations.putObject(place, object, expect, options),
    updateMetadata: (place, patch, seen, expect = { kind: 'rev', rev: seen.rev }, options = {}) =>
      mutations.updateMetadata(place, patch, seen, expect, options),
    deleteObject: (place, seen, expect = { kind: 'rev', rev: seen }, options = {}) =>
      mutations.deleteObject(place, seen, expect, options),
    async mkdir(place, attributes, expect, options = {}) {
      const made = await directories.mkdir(place, attributes, expect, false, options);
      return 'mtimeMs' in made ? { kind: made.kind, mtimeMs: made.mtimeMs } : made;
    },
    async putRoot(place, attributes, options = {}) {
      const made = await directories.mkdir(place, attributes, { kind: 'any' }, true, options);
      if (!('mtimeMs' in made) || made.rev === undefined) return { kind: 'absent' };
      return { kind: 'updated', rev: made.rev, mtimeMs: made.mtimeMs };
    },
    rmdir: (place, expect, options = {}) => directories.rmdir(place, expect, options),
    link: (source, seen, target, attributes, options = {}) => links.link(source, seen, target, attributes, options),
    async abandon(place, upload) {
      try {
        await abandon(router, place, upload);
      } catch (error) {
        logger.warn({ objectId: upload.objectId, err: error }, 'abandoned upload not recorded');
      }
    },
    async sweep(signal) {
      const counts = await Promise.all(
        shards.all.map(shard => sweepShard({ directories, logger }, shard, config, signal)),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    },
    isAvailable: () => ring.current() !== undefined && shards.all.every(shard => shard.pool.isAvailable()),
    close() {
      closed ??= (async () => {
        await Promise.all([following.stop(), probing.stop()]);
        await Promise.all([shards.close(), control.close()]);
      })();
      return closed;
    },
  };
}

async function probe(shards: readonly Shard[], maxAgeMs: number): Promise<void> {
  await Promise.all(
    shards.map(async ({ pool }) => {
      const ageMs = pool.evidenceAgeMs();
      if (pool.isAvailable() && ageMs !== undefined && ageMs < maxAgeMs) return;
      // The pool remembers how it went; a failure here is not news.
      await pool.query('SELECT 1', [], { deadlineMs: 2_000 }).catch(() => {});
    }),
  );
}

async function abandon(router: Router, place: Place, upload: AbandonedUpload): Promise<void> {
  const vnode = vnodeOf(place.dir);
  await router.route(vnode, { deadlineMs: 10_000 }, (shard, { options }) =>
    shard.pool.query(
      'SELECT abandon_v1($1, $2, $3, $4, $5, $6, $7)',
      [vnode, upload.objectId, upload.creator, upload.owner, childrenOf(place), upload.copies, upload.sizeBytes],
      options,
    ),
  );
}
