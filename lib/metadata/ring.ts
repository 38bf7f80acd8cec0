import type { Logger } from 'pino';
import type { Pool } from '../database/pool.ts';
import { MantaError } from '../errors/manta-error.ts';
import { VNODES } from './path.ts';

/** Consecutive vnodes that one shard answers for, ends included. */
export interface RingRange {
  readonly lo: number;
  readonly hi: number;
  readonly shard: number;
  readonly epoch: number;
}

/** One version of the assignment. Its ranges are sorted and cover every vnode exactly once. */
export interface RingVersion {
  readonly version: number;
  readonly ranges: readonly RingRange[];
}

/** The assignment as this process knows it. */
export interface RingCache {
  /** The shard that answers for the vnode; loads the ring when it is not known yet. */
  shardOf(vnode: number, signal?: AbortSignal): Promise<number>;
  /** Looks for a newer version. Concurrent calls share one look. Throws when the control database cannot be asked. */
  refresh(): Promise<void>;
  /** Undefined until the first successful look. */
  current(): RingVersion | undefined;
}

/** A stale ring is harmless, since shards refuse what is not theirs; without control the last one stays in use. */
export function createRingCache(deps: { control: Pool; logger: Logger }): RingCache {
  let current: RingVersion | undefined;
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    // ring_version_pkey
    const rows = await deps.control.query<{ version: string; ranges: unknown }>(
      'SELECT version, ranges FROM ring_version ORDER BY version DESC LIMIT 1',
      [],
      { isRepeatable: true },
    );
    const row = rows[0];
    if (row === undefined) throw new MantaError('ServiceUnavailable', 'the region has no ring yet');
    const version = Number(row.version);
    if (current !== undefined && version <= current.version) return;
    current = { version, ranges: checkRanges(row.ranges) };
    deps.logger.info({ version }, 'ring loaded');
  }

  function refresh(): Promise<void> {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  return {
    refresh,
    current: () => current,
    async shardOf(vnode, signal) {
      if (current === undefined) await refresh();
      signal?.throwIfAborted();
      if (current === undefined) throw new MantaError('ServiceUnavailable', 'the ring is not known');
      return findRange(current.ranges, vnode).shard;
    },
  };
}

/** Binary search; `ranges` cover every vnode. */
export function findRange(ranges: readonly RingRange[], vnode: number): RingRange {
  let low = 0;
  let high = ranges.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((ranges[middle] as RingRange).lo <= vnode) low = middle;
    else high = middle - 1;
  }
  const range = ranges[low];
  if (range === undefined || vnode < range.lo || vnode > range.hi) {
    throw new RangeError(`no range covers vnode ${vnode}`);
  }
  return range;
}

/** Accepts only ranges that cover 0 to VNODES - 1 without gap or overlap. */
export function checkRanges(value: unknown): RingRange[] {
  if (!Array.isArray(value)) throw new MantaError('InternalError', 'the ring is not a list of ranges');
  let next = 0;
  const ranges = value.map((item: Partial<RingRange>): RingRange => {
    const { lo, hi, shard, epoch } = item;
    if (lo !== next || !Number.isInteger(hi) || hi === undefined || hi < lo || !Number.isInteger(shard)) {
      throw new MantaError('InternalError', `the ring has a gap or an overlap at vnode ${next}`);
    }
    next = hi + 1;
    return { lo, hi, shard: shard as number, epoch: epoch ?? 1 };
  });
  if (next !== VNODES) throw new MantaError('InternalError', `the ring ends at vnode ${next - 1}`);
  return ranges;
}
