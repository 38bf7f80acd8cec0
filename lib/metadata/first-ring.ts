import { createHash, randomUUID } from 'node:crypto';
import type { Pool } from '../database/pool.ts';
import { VNODES } from './path.ts';
import type { RingRange } from './ring.ts';

/** Shard i of n answers for floor(i × V / n) to floor((i + 1) × V / n) − 1. metadata.md §12.18. */
export function firstRanges(shards: readonly number[]): RingRange[] {
  return shards.map((shard, i) => ({
    lo: Math.floor((i * VNODES) / shards.length),
    hi: Math.floor(((i + 1) * VNODES) / shards.length) - 1,
    shard,
    epoch: 1,
  }));
}

/** What the digest of a version is taken of: keys in this order, no spaces. */
export function canonicalRanges(ranges: readonly RingRange[]): string {
  return JSON.stringify(ranges.map(({ lo, hi, shard, epoch }) => ({ lo, hi, shard, epoch })));
}

/**
 * Gives a new region its first assignment: a range to every shard that has none, then version 1 of the ring. Create-only
 * and repeatable: after a crash in between a second call completes it; a region that has a ring keeps it. False when
 * there was one already. `shards` in order of their numbers.
 */
export async function createFirstRing(
  control: Pool,
  shards: readonly { readonly shard: number; readonly pool: Pool }[],
): Promise<boolean> {
  const known = await control.query('SELECT 1 FROM ring_version LIMIT 1');
  if (known.length > 0) return false;
  const ranges = firstRanges(shards.map(({ shard }) => shard));
  for (const [i, { pool }] of shards.entries()) {
    const range = ranges[i] as RingRange;
    await pool.query('SELECT first_range_v1($1, $2)', [range.lo, range.hi]);
  }
  const json = canonicalRanges(ranges);
  return control.transaction(async tx => {
    await tx.query('INSERT INTO ring (installation, vnodes, algorithm) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [
      randomUUID(),
      VNODES,
      'sha256',
    ]);
    const made = await tx.query(
      'INSERT INTO ring_version (version, ranges, digest) VALUES (1, $1, $2) ON CONFLICT DO NOTHING RETURNING version',
      [json, createHash('sha256').update(json).digest()],
    );
    return made.length > 0;
  });
}
