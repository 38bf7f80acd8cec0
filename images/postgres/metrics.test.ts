import { Registry } from 'prom-client';
import { createMemoryCoordinator } from '../../lib/coordinator/memory.ts';
import { createStore } from '../../lib/coordinator/store.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import type { Action } from './action.ts';
import { createSitterMetrics } from './metrics.ts';
import { aSender, aSnapshot, type Difference, end, NOW } from './testing/a-snapshot.ts';

let registry: Registry;
let metrics: ReturnType<typeof createSitterMetrics>;

beforeEach(() => {
  registry = new Registry();
  metrics = createSitterMetrics(registry, () => performance.now());
});

const show = (difference: Difference, action?: Action) =>
  metrics.show({
    snapshot: aSnapshot(difference),
    decision: action === undefined ? undefined : { rule: 'hold', action },
  });

/** Lines of the metric, without its prefix. */
async function lines(name: string): Promise<string[]> {
  const text = await registry.metrics();
  return text
    .split('\n')
    .filter(line => line.startsWith(`manta_postgres_${name}`))
    .map(line => line.replace('manta_postgres_', ''));
}

test('an open primary whose sync streams and whose async is well is writable and fault-tolerant', async () => {
  show({});
  expect(await lines('writable')).toEqual(['writable 1']);
  expect(await lines('fault_tolerant')).toEqual(['fault_tolerant 1']);
  expect(await lines('role{role="primary"}')).toEqual(['role{role="primary"} 1']);
  expect(await lines('generation')).toEqual(['generation 4']);
});

test.each<[string, Difference]>([
  ['without its sync', { sender: 'absent' }],
  ['without an async that could become the next sync', { records: { 'pg-1-2': { health: 'disk-full' } } }],
  ['while it is frozen', { isFrozen: true }],
])('it is not fault-tolerant %s', async (_, difference) => {
  show(difference);
  expect(await lines('writable')).toEqual(['writable 1']);
  expect(await lines('fault_tolerant')).toEqual(['fault_tolerant 0']);
});

test('a standby is neither', async () => {
  show({ role: 'sync' });
  expect([await lines('writable'), await lines('fault_tolerant')]).toEqual([['writable 0'], ['fault_tolerant 0']]);
});

test('what holds a peer is named as long as it holds it', async () => {
  show({}, { kind: 'wait', why: 'StateRegressed: this volume has seen more' });
  expect(await lines('held{reason="StateRegressed"}')).toEqual(['held{reason="StateRegressed"} 1']);
  show({});
  expect(await lines('held{reason="StateRegressed"}')).toEqual(['held{reason="StateRegressed"} 0']);
});

test('lag is what the sync has yet to flush and to replay', async () => {
  show({ sender: { flushed: end(-10), replayed: end(-30) } });
  expect(await lines('lag_bytes')).toEqual(['lag_bytes{stage="flush"} 10', 'lag_bytes{stage="replay"} 30']);
  show({ role: 'sync', answered: { received: end(0), replayed: end(-7), senders: [aSender('pg-1-2')] } });
  expect(await lines('lag_bytes')).toEqual(['lag_bytes{stage="replay"} 7']);
});

test('a state that this peer wrote is counted once, the one it found is not', async () => {
  show({ state: { seq: 9 } });
  show({ state: { seq: 10, cause: 'takeover' } });
  show({ state: { seq: 10, cause: 'takeover' } });
  show({ state: { seq: 11, cause: 'address', writer: 'pg-1-1' } });
  expect(await lines('transitions_total')).toEqual(['transitions_total{cause="takeover"} 1']);
});

test('how long commits had to wait is measured when they no longer do', async () => {
  show({ answered: { commitWaitingSince: NOW - 400 } });
  expect(await lines('commit_wait_seconds_count')).toEqual(['commit_wait_seconds_count 0']);
  show({});
  expect(await lines('commit_wait_seconds_sum')).toEqual(['commit_wait_seconds_sum 0.4']);
});

test('the phases of a takeover are found in its actions; the last attempt counts', async () => {
  show({ role: 'sync', evidence: { heartbeat: { at: 1_000, id: 'pg-1-0' } as never } });
  const act = (kind: string, startedAt: number, endedAt: number, failed = false) =>
    metrics.acted({ kind } as Action, startedAt, endedAt, failed);
  act('cut-receiver', 1_100, 1_120);
  act('take-over', 1_120, 1_130);
  act('take-over', 1_140, 1_145, true);
  act('take-over', 1_150, 1_155);
  act('promote', 1_160, 1_200);
  act('open', 1_220, 1_250);
  act('open', 9_000, 9_900);
  const sums = await lines('takeover_phase_seconds_sum');
  const seconds = Object.fromEntries(
    sums.map(line => [/phase="(\w+)"/.exec(line)?.[1], Number(Number(line.split(' ').at(-1)).toFixed(3))]),
  );
  expect(seconds).toEqual({
    detect: 0.1,
    cut: 0.02,
    drain: 0.03,
    cas: 0.005,
    promote: 0.04,
    attach: 0.02,
    open: 0.03,
  });
});

test('calls of etcd are timed, and conflicts counted', async () => {
  const coordinator = metrics.measured(createMemoryCoordinator({ store: createStore(), clock: systemClock }));
  await coordinator.read('/');
  await coordinator.commit({ compare: [{ key: '/a', modRevision: 7 }], operations: [] });
  expect(await lines('coordination_seconds_count')).toEqual([
    'coordination_seconds_count{call="read"} 1',
    'coordination_seconds_count{call="commit"} 1',
  ]);
  expect(await lines('coordination_conflicts_total')).toEqual(['coordination_conflicts_total 1']);
  await coordinator.close();
});
