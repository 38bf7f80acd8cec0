import { aShard } from '../../lib/resources/testing.ts';
import { shardName } from './find-shard.ts';
import { historyRows } from './history-rows.ts';
import { peerRows } from './peer-rows.ts';

describe('the peers of a shard', () => {
  it('are in the order of the chain, those without a place last', () => {
    const peers = [
      { name: 'pg-2-0', role: 'deposed', health: 'ok' },
      { name: 'pg-2-1', role: 'sync', health: 'ok', lagBytes: 16_777_216 },
      { name: 'pg-2-2', role: 'async', health: 'rebuilding', rebuild: { percent: 41 } },
      { name: 'pg-2-3', role: 'none', health: 'absent' },
      { name: 'pg-2-4', role: 'primary', health: 'ok', lagBytes: 0 },
      { name: 'pg-2-5', role: 'async', health: 'ok' },
    ] as const;
    const status = { primary: 'pg-2-4', sync: 'pg-2-1', async: ['pg-2-5', 'pg-2-2'], deposed: ['pg-2-0'], peers };
    const rows = peerRows({ status });
    expect(rows.map(({ peer }) => peer)).toEqual(['pg-2-4', 'pg-2-1', 'pg-2-5', 'pg-2-2', 'pg-2-0', 'pg-2-3']);
    expect(rows[0]).toMatchObject({ role: 'primary', pg: 'ok', lagBytes: undefined });
    expect(rows[1]).toMatchObject({ role: 'sync', lagBytes: 16_777_216 });
    expect(rows[3]).toMatchObject({ pg: 'rebuilding', rebuildPercent: 41 });
  });

  it('are none where nobody has looked yet', () => {
    expect(peerRows(aShard())).toEqual([]);
  });
});

describe('the history of a shard', () => {
  const step = (seq: number, generation: number, to: string, cause = 'takeover') => ({
    seq,
    generation,
    at: '2026-03-02T10:00:00Z',
    cause,
    to,
  });
  const broken = (...steps: ReturnType<typeof step>[]) => historyRows(steps).map(({ forbidden }) => forbidden);

  it('is listed oldest first, whatever the order it is kept in', () => {
    expect(historyRows([step(3, 2, 'b'), step(2, 1, 'a'), step(1, 1, 'a')]).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it('breaks no rule where it follows the protocol', () => {
    expect(broken(step(1, 1, 'a'), step(2, 1, 'a'), step(3, 2, 'b'), step(4, 3, 'b'))).toEqual(
      Array(4).fill(undefined),
    );
    expect(broken(step(1, 1, 'a'), step(9, 4, 'b', 'force-takeover'))).toEqual([undefined, undefined]);
  });

  it.each([
    ['a number is left out', step(3, 1, 'a'), 'V4: seq grows by one'],
    ['the generation falls', step(2, 0, 'a'), 'V4: generation stays or grows by one'],
    ['the primary changes within a generation', step(2, 1, 'b'), 'V5: a new pair is a new generation'],
    ['a forced state does not raise the generation', step(2, 1, 'b', 'state-repair'), 'V4: a forced state'],
  ])('names the rule that a step breaks: %s', (_, after, rule) => {
    expect(broken(step(1, 1, 'a'), after)[1]).toContain(rule);
  });
});

describe('a shard', () => {
  it.each(['3', 'shard-3', '3.moray.us-east.example.net'])('may be called %s', text => {
    expect(shardName(text)).toBe('shard-3');
  });

  it.each(['', '0', 'shard-', '03', '12345', 'pg-3', '3x'])('is not called %p', text => {
    expect(() => shardName(text)).toThrow('is no shard');
  });
});
