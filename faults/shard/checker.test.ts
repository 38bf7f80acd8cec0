import { check, type PeerTable } from './checker.ts';
import { gapBetween, percentile } from './gap.ts';
import { Journal, type Outcome, type WriteOperation } from './operation.ts';

type Row = readonly [client: number, id: number];

/** A server that holds these rows and answers the checker's two questions. */
function aPeer(name: string, rows: readonly Row[]): PeerTable {
  return {
    name,
    query: async text =>
      text.includes('md5')
        ? [['0', '0', String(rows.length), JSON.stringify([...rows].sort())]]
        : [...new Set(rows.map(String))].map(key => [
            ...key.split(','),
            String(rows.filter(row => String(row) === key).length),
          ]),
  };
}

function aWrite(id: number, outcome: Outcome, more: Partial<WriteOperation> = {}): WriteOperation {
  return { op: 'write', client: 0, id, invoke: 10 * id, complete: 10 * id + 5, outcome, timeline: 1, ...more };
}

async function violations(writes: readonly WriteOperation[], primary: readonly Row[], standby = primary) {
  const journal = new Journal();
  for (const write of writes) journal.append(write);
  const peers = [aPeer('a', primary), aPeer('b', standby)];
  return (await check({ journal, writers: 1, table: 't', peers })).violations;
}

describe('the checker of shard faults', () => {
  test('passes what was acknowledged, with or without what is unknown', async () => {
    const writes = [aWrite(1, 'ok'), aWrite(2, 'unknown'), aWrite(3, 'fail'), aWrite(4, 'unknown')];
    expect(await violations(writes, [[0, 1]])).toEqual([]);
    expect(
      await violations(writes, [
        [0, 1],
        [0, 4],
      ]),
    ).toEqual([]);
  });

  test.each<[string, readonly WriteOperation[], readonly Row[], RegExp]>([
    ['an acknowledged write that is missing', [aWrite(1, 'ok')], [], /^LOST: 0\/1/],
    ['a failed write that is there', [aWrite(1, 'fail')], [[0, 1]], /reported as failed/],
    ['a row that nobody wrote', [], [[0, 9]], /nobody wrote it/],
    [
      'a row applied twice',
      [aWrite(1, 'ok')],
      [
        [0, 1],
        [0, 1],
      ],
      /2 times/,
    ],
    [
      'a write acknowledged by a superseded primary',
      [aWrite(1, 'ok', { timeline: 2 }), aWrite(2, 'ok', { timeline: 1 })],
      [
        [0, 1],
        [0, 2],
      ],
      /after 2 had begun/,
    ],
  ])('finds %s', async (_, writes, rows, expected) => {
    expect(await violations(writes, rows)).toEqual([expect.stringMatching(expected)]);
  });

  test('finds a standby that differs from the primary', async () => {
    expect(await violations([aWrite(1, 'unknown')], [[0, 1]], [])).toEqual([expect.stringMatching(/b has 0 rows/)]);
  });

  test('finds a read of what is gone, and a read that is too old', async () => {
    const journal = new Journal();
    journal.append(aWrite(1, 'ok'));
    journal.append(aWrite(2, 'ok'));
    journal.append({ op: 'read', client: 8, invoke: 40, complete: 41, seen: [3] });
    journal.append({ op: 'read', client: 8, invoke: 1_000, complete: 1_001, seen: [1] });
    journal.append({ op: 'read', client: 8, invoke: 5_000, complete: 5_001, seen: [1] });
    const peers = [
      aPeer('a', [
        [0, 1],
        [0, 2],
      ]),
    ];
    const found = (await check({ journal, writers: 1, table: 't', peers })).violations;
    expect(found).toEqual([expect.stringMatching(/^DIRTY: 0\/3/), expect.stringMatching(/^STALE: .* 0\/2.* 4975 ms/)]);
  });
});

describe('the gap that clients felt', () => {
  test('is the longest time between two acknowledgements around the event, replies under way included', () => {
    const writes = [aWrite(1, 'ok'), aWrite(2, 'ok'), aWrite(3, 'unknown'), aWrite(60, 'ok'), aWrite(61, 'ok')];
    expect(gapBetween(writes, 22, 700)).toEqual({ gapMs: 580, since: 25, slowestMs: 5, failed: 0, unknown: 1 });
  });

  test('is endless when nothing was acknowledged after the event', () => {
    expect(gapBetween([aWrite(1, 'ok'), aWrite(2, 'unknown')], 16, 900).gapMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('has percentiles by nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)]).toEqual([50, 99, 100]);
  });
});
