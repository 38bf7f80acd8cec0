import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { followPrefix, type PrefixView } from '../../lib/coordinator/follow-prefix.ts';
import { createMemoryCoordinator, type MemoryCoordinator } from '../../lib/coordinator/memory.ts';
import { type Registration, register } from '../../lib/coordinator/registration.ts';
import { createStore, type Store } from '../../lib/coordinator/store.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { shardKeys } from '../../lib/shard/keys.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import { createShardStore, type FollowedShardStore } from './store.ts';

const logger = pino({ level: 'silent' });
const keys = shardKeys('/manta', 1);
const deps = { logger, clock: systemClock };

let etcd: Store;
let client: MemoryCoordinator;
let prefix: PrefixView;
let registration: Registration;
let store: FollowedShardStore;

beforeEach(async () => {
  etcd = createStore();
  client = createMemoryCoordinator({ store: etcd, clock: systemClock }, { deadlineMs: 50 });
  prefix = followPrefix(deps, client, keys.prefix, { rereadMs: 200 });
  registration = register(deps, client, { key: keys.peer('a'), session: 's', value: () => '{"session":"s"}' });
  store = createShardStore({ ...deps, coordinator: client, prefix, registration }, { keys, id: 'a' });
  await eventually(() => store.observe().registered !== undefined);
});
afterEach(async () => {
  client.faults.befall = () => 'none';
  client.faults.delayMs = 0;
  await registration.release();
  await prefix.close();
  await client.close();
});

const ref = (id: string) => ({
  id,
  incarnation: `i-${id}`,
  pgUrl: `postgresql://${id}:1`,
  sitterUrl: `http://${id}:2`,
});

const first: ClusterState = {
  v: 2,
  seq: 1,
  generation: 1,
  primary: ref('a'),
  sync: ref('b'),
  async: [ref('c')],
  deposed: [],
  initWal: '0/0',
  initTimeline: 1,
  timeline: 1,
  systemId: '7',
  pgMajor: 17,
  cause: 'setup',
  writer: 'a',
};

const second: ClusterState = {
  ...first,
  seq: 2,
  generation: 2,
  sync: ref('c'),
  async: [ref('b')],
  cause: 'sync-replaced',
};

/** As somebody else writes. */
function put(key: string, value: unknown): void {
  etcd.commit({
    compare: [],
    operations: [{ put: key, value: typeof value === 'string' ? value : JSON.stringify(value) }],
  });
}

/** Puts a value and lets the store see it. */
async function given(key: string, value: unknown): Promise<void> {
  put(key, value);
  await store.refresh();
}

const stored = (key: string) => etcd.get(key)?.value;

test('a state is written together with its entry in the history', async () => {
  expect(await store.writeState(first)).toMatchObject({ kind: 'committed' });
  expect((await store.refresh()).state?.value).toEqual(first);
  const entry = JSON.parse(stored(keys.history(1)) ?? '');
  expect(entry).toMatchObject({ seq: 1, cause: 'setup' });
  expect(new Date(entry.at).toISOString()).toBe(entry.at);
});

test('a change by others is seen without asking', async () => {
  let changes = 0;
  store.onChange(() => {
    changes += 1;
  });
  put(keys.state, first);
  await eventually(() => changes > 0 && store.observe().state !== undefined);
});

test('a state that was decided on before another one was written is refused by etcd', async () => {
  await given(keys.state, first);
  put(keys.state, { ...first, seq: 2, cause: 'address' });
  await eventually(() =>
    prefix
      .current()
      ?.entries.find(({ key }) => key === keys.state)
      ?.value.includes('address'),
  );
  // It is known by now, but nothing was decided on it.
  expect(await store.writeState(second)).toEqual({ kind: 'conflict' });
});

test('a freeze that was set after the decision keeps the generation from changing, and nothing else', async () => {
  await given(keys.config, { peers: 3 });
  await given(keys.state, first);
  put(keys.config, { peers: 3, freeze: { at: 'now', by: 'me', reason: 'test' } });
  await eventually(() => prefix.current()?.entries.some(({ value }) => value.includes('freeze')));
  expect(await store.writeState(second)).toEqual({ kind: 'conflict' });
  expect(await store.writeState({ ...first, seq: 2, cause: 'address' })).toMatchObject({ kind: 'committed' });
});

test('a configuration that was not there when the generation was decided on must not be there when it is written', async () => {
  await given(keys.state, first);
  put(keys.config, { peers: 3, freeze: { at: 'now', by: 'me', reason: 'test' } });
  expect(await store.writeState(second)).toEqual({ kind: 'conflict' });
});

test('a peer whose key was taken away writes nothing', async () => {
  etcd.commit({ compare: [], operations: [{ delete: keys.peer('a') }, { put: keys.config, value: '{"peers":3}' }] });
  const outcome = await store.writeState(first);
  expect(outcome.kind).not.toBe('committed');
  expect(stored(keys.state)).toBeUndefined();
});

test('a state that breaks a rule never reaches etcd', async () => {
  await given(keys.state, first);
  await expect(store.writeState({ ...second, generation: 1 })).rejects.toMatchObject({ code: 'StateInvalid' });
  await expect(store.writeState({ ...second, seq: 3 })).rejects.toMatchObject({ code: 'StateInvalid' });
});

test('a value that is no state is told as such, and only a repair writes over it', async () => {
  await given(keys.state, '{"v":1}');
  expect(store.view()).toMatchObject({ state: undefined, stateInvalid: expect.stringContaining('cannot be read') });
  await expect(store.writeState(first)).rejects.toMatchObject({ code: 'StateInvalid' });
  const repaired = { ...first, generation: 9, seq: 9, timeline: 9, cause: 'state-repair' };
  expect(await store.writeState(repaired)).toMatchObject({ kind: 'committed' });
});

test('other values that are not what they should be are left out', async () => {
  await given(keys.config, '{"peers":"three"}');
  await given(keys.request('switchover'), '{"id":"r1","generation":4,"by":"me"}');
  await given(keys.request('rebuild'), 'nonsense');
  await given(keys.peer('b'), '{}');
  expect(store.view()).toMatchObject({ config: undefined, peers: {} });
  expect(store.view().requests).toEqual({ switchover: { id: 'r1', generation: 4, by: 'me' } });
});

test('the absence of a peer of the state is counted from the first read without it to the first one with it', async () => {
  await given(keys.state, first);
  const { absentSince } = store.view();
  expect(Object.keys(absentSince).sort()).toEqual(['b', 'c']);
  await given(keys.peer('b'), 'not even a record');
  expect(store.view().absentSince).toEqual({ c: absentSince.c });
});

describe('a transaction of which nothing is known', () => {
  test('marks the view, and nothing more is sent before it is settled', async () => {
    client.faults.befall = operation => (operation === 'commit' ? 'reply-lost' : 'none');
    expect((await store.writeState(first)).kind).toBe('unknown');
    client.faults.befall = () => 'none';
    expect(store.view().unsettled).toBe(true);
    expect((await store.commit([], [{ put: keys.answer, value: '{}' }])).kind).toBe('unavailable');

    await store.settle();
    expect(store.view().unsettled).toBe(false);
    expect((await store.refresh()).state?.value).toEqual(first);
  });

  test('can no longer be applied once it is settled, however late it arrives', async () => {
    const before = store.view().registered;
    client.faults.delayMs = 400;
    const outcome = await store.writeState(first);
    client.faults.delayMs = 0;
    expect(outcome.kind).toBe('unknown');
    await store.settle();
    await eventually(() => store.view().registered !== undefined);
    expect(store.view().registered).not.toBe(before);
    await sleep(450);
    expect(stored(keys.state)).toBeUndefined();
    expect(await store.writeState(first)).toMatchObject({ kind: 'committed' });
  });

  test('stays unsettled while etcd cannot be reached', async () => {
    client.faults.befall = operation => (operation === 'commit' ? 'request-lost' : 'none');
    await store.writeState(first);
    await expect(store.settle()).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
    expect(store.view().unsettled).toBe(true);
  });
});
