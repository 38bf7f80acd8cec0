import fc from 'fast-check';
import { pino } from 'pino';
import { createPool, type Pool, poolDefaults } from '../database/pool.ts';
import { createTestDatabases, queryOnce } from '../database/testing.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { createFirstRing, firstRanges } from './first-ring.ts';
import { VNODES } from './path.ts';
import { checkRanges, findRange } from './ring.ts';

describe('the first ranges', () => {
  it('are the whole ring for one shard, and halves for two', () => {
    expect(firstRanges([1])).toEqual([{ lo: 0, hi: 131_071, shard: 1, epoch: 1 }]);
    expect(firstRanges([1, 2]).map(({ lo, hi }) => [lo, hi])).toEqual([
      [0, 65_535],
      [65_536, 131_071],
    ]);
  });

  it('cover every vnode once for any number of shards, and every vnode is found in its own', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 0, max: VNODES - 1 }), (n, vnode) => {
        const ranges = checkRanges(firstRanges(Array.from({ length: n }, (_, i) => i + 1)));
        const range = findRange(ranges, vnode);
        return range.lo <= vnode && vnode <= range.hi;
      }),
    );
  });
});

describe('a ring', () => {
  it.each([
    [
      'a gap',
      [
        { lo: 0, hi: 5, shard: 1 },
        { lo: 7, hi: VNODES - 1, shard: 2 },
      ],
    ],
    [
      'an overlap',
      [
        { lo: 0, hi: 5, shard: 1 },
        { lo: 5, hi: VNODES - 1, shard: 2 },
      ],
    ],
    ['an early end', [{ lo: 0, hi: VNODES - 2, shard: 1 }]],
    ['no ranges', []],
    ['no list', { lo: 0 }],
  ])('with %s is refused', (_what, ranges) => {
    expect(() => checkRanges(ranges)).toThrow(/ring/);
  });

  it('is created once, and its creation can be completed after a crash', async () => {
    const databases = await createTestDatabases();
    const logger = pino({ level: 'silent' });
    const pools = [databases.control, ...databases.index].map(target =>
      createPool({ logger, clock: systemClock }, target, { ...poolDefaults, name: 'test', size: 1 }),
    ) as [Pool, Pool, Pool];
    try {
      const shards = [
        { shard: 1, pool: pools[1] },
        { shard: 2, pool: pools[2] },
      ];
      // As after a crash that left the second shard without its range.
      await pools[1].query('SELECT first_range_v1(0, 65535)');
      expect(await createFirstRing(pools[0], shards)).toBe(true);
      expect(await createFirstRing(pools[0], shards)).toBe(false);
      expect(
        await queryOnce(databases.superuser.index[1], 'SELECT lo, hi, state, epoch::int FROM shard_range'),
      ).toEqual([{ lo: 65_536, hi: 131_071, state: 'rw', epoch: 1 }]);
      expect(await queryOnce(databases.superuser.control, 'SELECT version::int FROM ring_version')).toEqual([
        { version: 1 },
      ]);
    } finally {
      await Promise.all(pools.map(pool => pool.close()));
      await databases.drop();
    }
  });
});
