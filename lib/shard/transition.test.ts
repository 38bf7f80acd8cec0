import fc from 'fast-check';
import { type ClusterState, causes, type PeerRef } from './state.ts';
import { brokenRule, brokenTransition, parseState } from './transition.ts';

const peer = (n: number): PeerRef => ({
  id: `pg-1-${n}`,
  incarnation: `life-${n}`,
  pgUrl: 'postgresql://h:1',
  sitterUrl: 'http://h:2',
});
const deposed = (n: number) => ({ ...peer(n), sinceGeneration: 5, forkTimeline: 3, forkWal: '0/5' });
const before: ClusterState = {
  v: 2,
  seq: 9,
  generation: 4,
  primary: peer(0),
  sync: peer(1),
  async: [peer(2)],
  deposed: [],
  initWal: '0/3000000',
  initTimeline: 3,
  timeline: 3,
  systemId: '7',
  pgMajor: 18,
  cause: 'sync-replaced',
  writer: 'pg-1-0',
};
const takeover = {
  seq: 10,
  generation: 5,
  primary: peer(1),
  sync: peer(2),
  async: [],
  deposed: [deposed(0)],
  initWal: '0/5',
  timeline: 4,
  cause: 'takeover',
};
const replacement = { seq: 10, generation: 5, sync: peer(2), async: [peer(1)], initWal: '0/5', cause: 'sync-replaced' };

describe('V1 to V3: one state', () => {
  const cases: readonly (readonly [string, Partial<ClusterState>, RegExp | undefined])[] = [
    ['a chain of three is fine', {}, undefined],
    ['V1: a peer is there once: in the chain', { async: [peer(1)] }, /^V1/],
    ['V1: a peer is there once: deposed and not', { deposed: [deposed(2)] }, /^V1/],
    ['V2: no sync only in a one-node state', { sync: null }, /^V2/],
    ['V2: no one-node state with a sync', { oneNode: 'created' }, /^V2/],
    ['V2: a one-node state is fine', { sync: null, async: [], oneNode: 'lone-survivor' }, undefined],
    ['V3: generations begin at 1', { generation: 0 }, /^V3/],
    ['V3: seq is at least the generation', { seq: 3 }, /^V3/],
    ['V3: no position on a timeline that was never reserved', { initTimeline: 4 }, /^V3/],
    ['V3: timelines begin at 1', { initTimeline: 0 }, /^V3/],
    ['V3: without a database there are no timelines yet', { systemId: null, initTimeline: 0 }, undefined],
  ];
  it.each(cases)('%s', (_, change, expected) => {
    const broken = brokenRule({ ...before, ...change });
    if (expected === undefined) expect(broken).toBeUndefined();
    else expect(broken).toMatch(expected);
  });
});

describe('V4 to V6: a step', () => {
  const cases: readonly (readonly [string, Partial<ClusterState>, RegExp | undefined])[] = [
    ['a takeover', takeover, undefined],
    ['a replacement of the sync', replacement, undefined],
    ['a change of the chain', { seq: 10, async: [], cause: 'async-removed' }, undefined],
    ['V4: seq stays', { seq: 9 }, /^V4/],
    ['V4: seq leaps', { seq: 11 }, /^V4/],
    ['V4: generation leaps', { ...takeover, generation: 6, seq: 10 }, /^V4/],
    ['V4: generation falls', { ...takeover, generation: 3 }, /^V4/],
    ['V5: a new generation of the same pair', { seq: 10, generation: 5 }, /^V5/],
    ['V5: a new pair in the same generation', { ...replacement, generation: 4 }, /^V5/],
    ['V5: an async becomes primary', { ...takeover, primary: peer(2), sync: peer(1) }, /^V5/],
    ['V6: a new primary without a new timeline', { ...takeover, timeline: 3 }, /^V6/],
    ['V6: a new primary that leaps over a timeline', { ...takeover, timeline: 5 }, /^V6/],
    ['V6: a new timeline without a new primary', { ...replacement, timeline: 4 }, /^V6/],
    ['initWal moves within a generation', { seq: 10, initWal: '0/4000000' }, /fixed/],
    ['initTimeline moves within a generation', { seq: 10, initTimeline: 2 }, /fixed/],
    ['another system identifier', { seq: 10, systemId: '8' }, /systemId/],
    ['a system identifier taken away', { seq: 10, systemId: null }, /systemId/],
    [
      'a forced takeover by an async',
      { ...takeover, primary: peer(2), sync: peer(1), cause: 'force-takeover' },
      undefined,
    ],
    ['a repair that leaps', { ...takeover, seq: 40, generation: 30, timeline: 20, cause: 'state-repair' }, undefined],
    ['a forced state of the same generation', { ...takeover, generation: 4, cause: 'force-takeover' }, /raises/],
    ['a forced state of the same timeline', { ...takeover, timeline: 3, cause: 'force-takeover' }, /raises/],
    ['a forced state that breaks V1', { ...takeover, async: [peer(2)], cause: 'force-takeover' }, /^V1/],
  ];
  it.each(cases)('%s', (_, change, expected) => {
    const broken = brokenTransition(before, { ...before, ...change });
    if (expected === undefined) expect(broken).toBeUndefined();
    else expect(broken).toMatch(expected);
  });

  it('until there is a database, timelines are the first primary’s own', () => {
    const young = { ...before, systemId: null, timeline: 1, initTimeline: 1 };
    expect(brokenTransition(young, { ...young, seq: 10, systemId: '7', timeline: 5, initTimeline: 5 })).toBeUndefined();
    expect(brokenTransition(young, { ...young, ...takeover, timeline: 1 })).toBeUndefined();
  });

  it('the first state of all follows nothing', () => {
    expect(brokenTransition(undefined, before)).toBeUndefined();
  });

  it('however peers change places, an accepted step keeps G3', () => {
    const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 3, maxLength: 4 });
    const step = fc.record({
      order,
      seq: fc.integer({ min: 8, max: 11 }),
      generation: fc.integer({ min: 3, max: 6 }),
      timeline: fc.integer({ min: 2, max: 5 }),
      cause: fc.constantFrom(...causes.filter(cause => cause !== 'force-takeover' && cause !== 'state-repair')),
    });
    fc.assert(
      fc.property(step, ({ order: [p = 0, s = 1, ...rest], ...change }) => {
        const after = { ...before, ...change, primary: peer(p), sync: peer(s), async: rest.map(peer) };
        if (brokenTransition(before, after) !== undefined) return;
        expect(after.seq).toBe(10);
        expect([0, 1]).toContain(p);
        expect(after.generation - 4).toBe(p === 0 && s === 1 ? 0 : 1);
        expect(after.timeline - 3).toBe(p === 0 ? 0 : 1);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('the value of the key', () => {
  it('is read when it breaks nothing', () => {
    expect(parseState(JSON.stringify(before))).toEqual(before);
  });

  it.each([
    ['no JSON', '{'],
    ['another version', JSON.stringify({ ...before, v: 1 })],
    ['a position that is none', JSON.stringify({ ...before, initWal: '5' })],
    ['a broken rule', JSON.stringify({ ...before, sync: null })],
  ])('is refused for %s', (_, text) => {
    expect(() => parseState(text)).toThrow(expect.objectContaining({ code: 'StateInvalid' }));
  });
});
