import { pino } from 'pino';
import { Registry } from 'prom-client';
import { eventually } from '../eventually/eventually.ts';
import type { PrimaryAnswer } from './ask-primary.ts';
import { createResolver, type Resolver, type ResolverConfig, resolverDefaults } from './resolver.ts';
import { createResolverMetrics } from './resolver-metrics.ts';
import type { ClusterState } from './state.ts';
import { aPeer, aRecord, aState, createTestSource, testKeys } from './testing.ts';

const settings = () => ({ user: 'manta', database: 'index' });
const resolvers: Resolver[] = [];
afterEach(async () => {
  await Promise.all(resolvers.splice(0).map(resolver => resolver.close()));
});

/** A resolver whose clock the test moves, and whose view of etcd and whose sitter the test plays. */
function aResolver(config: Partial<ResolverConfig> = {}) {
  let nowMs = 10_000;
  let answer: PrimaryAnswer | undefined;
  let questions = 0;
  const lines: { readonly level: number; readonly msg: string; readonly reason?: string }[] = [];
  const source = createTestSource(() => nowMs);
  const metrics = createResolverMetrics(new Registry(), 'test');
  const resolver = createResolver(
    {
      source,
      keys: testKeys,
      askPrimary: async () => {
        questions += 1;
        if (answer === undefined) throw new Error('no answer');
        return answer;
      },
      clock: { now: () => 0, monotonic: () => nowMs },
      logger: pino({ level: 'debug' }, { write: line => lines.push(JSON.parse(line)) }),
      observeWait: metrics.observeWait,
    },
    { ...resolverDefaults, shard: 1, checkMs: 5, ...config },
  );
  resolvers.push(resolver);
  const target = resolver.target(settings);
  return {
    resolver,
    source,
    target,
    putState: (state: ClusterState) => source.put(testKeys.state, state),
    put: source.put,
    pass: (ms: number) => {
      nowMs += ms;
    },
    now: () => nowMs,
    sitterSays: (next: PrimaryAnswer | undefined) => {
      answer = next;
    },
    questions: () => questions,
    errors: () => lines.filter(line => line.level >= 50).map(line => `${line.msg}: ${line.reason}`),
    where: () => {
      const home = target.home();
      return home === undefined ? undefined : { generation: resolver.status().generation, ...home.connection() };
    },
  };
}

describe('a resolver', () => {
  it('names the address of the primary in its generation, with the settings of the database', () => {
    const { putState, where } = aResolver();
    expect(where()).toBeUndefined();
    putState(aState({ generation: 4, seq: 9 }));
    expect(where()).toEqual({ generation: 4, host: '127.0.0.1', port: 5400, user: 'manta', database: 'index' });
  });

  it('takes the address of the record, which is newer, unless the record is of another data directory', () => {
    const { putState, put, where } = aResolver();
    putState(aState());
    put(testKeys.peer('pg-1-0'), aRecord(aPeer(0, { pgUrl: 'postgresql://[::1]:7000' }), 'active', 1));
    expect(where()).toMatchObject({ host: '::1', port: 7000 });
    const other = aPeer(0, { pgUrl: 'postgresql://10.0.0.9:7000', incarnation: 'another' });
    put(testKeys.peer('pg-1-0'), aRecord(other, 'active', 1));
    expect(where()).toMatchObject({ host: '127.0.0.1', port: 5400 });
  });

  it('tells of a new primary, and lets nobody use an older one', () => {
    const { putState, target } = aResolver();
    putState(aState());
    const old = target.home();
    const told: unknown[] = [];
    const stop = target.onMove(home => told.push(home.connection().port));
    putState(aState({ seq: 2, async: [] }));
    expect(old !== undefined && target.mayUse(old)).toBe(true);
    expect(target.home()).toBe(old);
    putState(aState({ generation: 2, seq: 3, primary: aPeer(1), sync: aPeer(2), async: [] }));
    expect(old !== undefined && target.mayUse(old)).toBe(false);
    stop();
    putState(aState({ generation: 3, seq: 4, primary: aPeer(1), sync: aPeer(0), async: [] }));
    expect(told).toEqual([5401]);
  });

  it('leaves what runs on a primary alone when only its sync is another', () => {
    const { putState, target, where } = aResolver();
    putState(aState());
    const before = target.home();
    putState(aState({ generation: 2, sync: aPeer(2), async: [aPeer(1)] }));
    expect(where()).toMatchObject({ generation: 2 });
    expect(target.home()).toBe(before);
  });

  it('takes a primary that was lost and became primary again for another one', () => {
    const { putState, target } = aResolver();
    putState(aState());
    const before = target.home();
    putState(aState({ generation: 3, timeline: 3 }));
    expect(target.home()).not.toBe(before);
  });

  it.each([
    ['a lower generation', 'went back', () => JSON.stringify(aState({ generation: 4, seq: 8 }))],
    ['a lower seq', 'went back', () => JSON.stringify(aState({ generation: 5, seq: 6 }))],
    [
      'another state with the same seq',
      'went back',
      () => JSON.stringify(aState({ generation: 5, seq: 7, async: [] })),
    ],
    ['a broken rule', 'invalid', () => JSON.stringify(aState({ generation: 6, seq: 8, sync: aPeer(0) }))],
    ['no JSON', 'invalid', () => '{'],
  ])('does not follow %s, and believes in the old primary only until the fence', (_what, reason, text) => {
    const { putState, put, source, where, pass, now, errors } = aResolver();
    putState(aState({ generation: 5, seq: 7 }));
    put(testKeys.state, text());
    put(testKeys.config, '{}');
    expect(where()).toMatchObject({ generation: 5, port: 5400 });
    expect(errors()).toEqual([`shard state not followed: ${reason}`]);
    pass(3_001);
    source.confirm(now());
    expect(where()).toBeUndefined();
  });

  it('does not follow the loss of the state', () => {
    const { putState, source, where, pass, now, errors } = aResolver();
    putState(aState());
    source.delete(testKeys.state);
    expect(where()).toMatchObject({ generation: 1 });
    expect(errors()).toEqual(['shard state not followed: missing']);
    pass(3_001);
    source.confirm(now());
    expect(where()).toBeUndefined();
  });
});

describe('the fence', () => {
  it('stops new work 3 s after the last read was sent, and opens with the next', () => {
    const { putState, source, target, where, pass, now } = aResolver();
    putState(aState());
    const home = target.home();
    pass(3_000);
    expect(where()).toBeDefined();
    pass(1);
    expect(where()).toBeUndefined();
    expect(home !== undefined && target.mayUse(home)).toBe(false);
    // What counts is when the read was sent, not when its answer was there.
    source.confirm(now() - 2_900);
    expect(where()).toBeDefined();
    pass(101);
    expect(where()).toBeUndefined();
  });

  it('is held open by the sitter of the primary while etcd does not answer, for as long as that one says', async () => {
    const { putState, where, pass, sitterSays, questions } = aResolver();
    putState(aState());
    sitterSays({ id: 'pg-1-0', incarnation: 'incarnation-0', generation: 1, freshForMs: 1_000 });
    expect(questions()).toBe(0);
    pass(10_000);
    await eventually(() => expect(where()).toMatchObject({ generation: 1 }));
    pass(900);
    await eventually(() => expect(where()).toBeDefined());
    sitterSays(undefined);
    // An answer may have been under way.
    const asked = questions();
    await eventually(() => expect(questions()).toBeGreaterThan(asked + 1));
    pass(1_001);
    expect(where()).toBeUndefined();
  });

  it.each([
    ['id', { id: 'pg-1-1' }],
    ['incarnation', { incarnation: 'another' }],
    ['generation', { generation: 2 }],
    ['freshness', { freshForMs: 0 }],
  ])('is not held open by a sitter of another %s', async (_what, fields) => {
    const { putState, where, pass, sitterSays, questions } = aResolver();
    putState(aState());
    pass(10_000);
    sitterSays({ id: 'pg-1-0', incarnation: 'incarnation-0', generation: 1, freshForMs: 3_000, ...fields });
    const asked = questions();
    await eventually(() => expect(questions()).toBeGreaterThan(asked + 1));
    pass(1);
    expect(where()).toBeUndefined();
  });

  it('counts no proof of an older generation for a newer one', async () => {
    const { putState, source, where, pass, now } = aResolver();
    putState(aState());
    pass(10_000);
    putState(aState({ generation: 2, primary: aPeer(1), sync: aPeer(0) }));
    expect(where()).toMatchObject({ generation: 2 });
    pass(3_001);
    expect(where()).toBeUndefined();
    source.confirm(now());
    expect(where()).toMatchObject({ generation: 2 });
  });
});

describe('work for a primary that steps down', () => {
  it.each(['handoff', 'handed-off', 'abdicating'] as const)(
    'waits during %s until the next generation',
    async status => {
      const { putState, put, target, where } = aResolver();
      putState(aState());
      const home = target.home();
      put(testKeys.peer('pg-1-0'), aRecord(aPeer(0), status, 1));
      expect(where()).toBeUndefined();
      // What runs may end.
      expect(home !== undefined && target.mayUse(home)).toBe(true);
      const waiting = target.room.enter(() => target.home());
      putState(aState({ generation: 2, primary: aPeer(1), sync: aPeer(0) }));
      expect((await waiting).connection().port).toBe(5401);
    },
  );

  it('goes on when the primary withdraws, and does not wait for the status of an older generation', async () => {
    const { putState, put, target, where } = aResolver();
    putState(aState({ generation: 2 }));
    put(testKeys.peer('pg-1-0'), aRecord(aPeer(0), 'handoff', 1));
    expect(where()).toMatchObject({ generation: 2 });
    put(testKeys.peer('pg-1-0'), aRecord(aPeer(0), 'handoff', 2));
    const waiting = target.room.enter(() => target.home());
    put(testKeys.peer('pg-1-0'), aRecord(aPeer(0), 'active', 2));
    expect((await waiting).connection().port).toBe(5400);
  });

  it('is shed beyond the length of the queue and beyond its time, as not done', async () => {
    const { target, resolver } = aResolver({ maxWaiting: 2, queueMs: 30 });
    const inTime = [target.room.enter(() => target.home()), target.room.enter(() => target.home())];
    expect(resolver.status().waiting).toBe(2);
    await expect(target.room.enter(() => target.home())).rejects.toMatchObject({ kind: 'unavailable' });
    for (const waiting of inTime) await expect(waiting).rejects.toMatchObject({ kind: 'unavailable' });
    expect(resolver.status().waiting).toBe(0);
  });

  it('is forgotten when its caller gives up', async () => {
    const { target, resolver } = aResolver();
    const controller = new AbortController();
    const waiting = target.room.enter(() => target.home(), controller.signal);
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    expect(resolver.status().waiting).toBe(0);
  });
});

test('a program shows queue, wait, generation and proof of every shard under its own prefix', async () => {
  const registry = new Registry();
  const metrics = createResolverMetrics(registry, 'webapi');
  const { resolver, putState, pass } = aResolver();
  metrics.add(resolver);
  putState(aState({ generation: 3 }));
  pass(500);
  metrics.observeWait(1, 120);
  const text = await registry.metrics();
  expect(text).toContain('manta_webapi_primary_waiting_calls{shard="1"} 0');
  expect(text).toContain('manta_webapi_primary_generation{shard="1"} 3');
  expect(text).toContain('manta_webapi_primary_proof_age_seconds{shard="1"} 0.5');
  expect(text).toContain('manta_webapi_primary_wait_seconds_bucket{le="0.2",shard="1"} 1');
});
