import { primarySettings } from '../facts.ts';
import { aSnapshot, aState } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { closeGate, configure, drainClients, open } from './configure.ts';

const closed = aSnapshot({ written: { gate: 'closed', readOnly: true } });
const wish = {
  kind: 'open',
  settings: primarySettings(closed, { ssn: ['pg-1-1'], readOnly: false, gate: 'open' }),
} as const;

it('a gate closes before those who are in are ended, and they are ended until nobody is left twice', async () => {
  const snapshot = aSnapshot();
  const { ports, calls } = createRecorder(snapshot);
  await closeGate(ports, snapshot, { kind: 'close-gate', why: 'test' });
  expect(calls).toEqual([
    'server.writeSettings ssn=pg-1-1 gate=closed upstream=nobody',
    'server.reload',
    'server.terminateClients',
    'server.terminateClients',
  ]);
});

it('a gate opens when no database is missing and a fresh read agrees, and is tried by a login', async () => {
  const { ports, calls } = createRecorder(closed);
  await open(ports, closed, wish);
  expect(calls).toEqual([
    'store.refresh',
    'server.createDatabases',
    'server.writeSettings ssn=pg-1-1 gate=open upstream=nobody',
    'server.reload',
    'server.inForce',
    'server.senders',
    'server.tryLogin',
  ]);
});

it.each([
  ['another primary', { ...aState(), generation: 5, primary: aState().async[0] ?? aState().primary, async: [] }],
  ['another generation', { ...aState(), generation: 5 }],
])('a gate stays closed when the fresh read shows %s', async (_, state) => {
  const { ports, calls, world } = createRecorder(closed);
  world.fresh = { ...closed.etcd, state: { value: state, modRevision: 51 } };
  await open(ports, closed, wish);
  expect(calls).toEqual(['store.refresh', 'server.createDatabases']);
});

it('a read from before databases were made is not fresh', async () => {
  const { ports, calls, world } = createRecorder(closed);
  const server = {
    ...ports.server,
    async createDatabases() {
      world.fresh = { ...closed.etcd, state: { value: { ...aState(), generation: 5 }, modRevision: 51 } };
      return true;
    },
  };
  await open({ ...ports, server }, closed, wish);
  expect(calls).toEqual(['store.refresh', 'store.refresh']);
});

it('the loop goes on when databases are not confirmed', async () => {
  const { ports, calls } = createRecorder(closed);
  const stuck = { ...ports, server: { ...ports.server, createDatabases: () => new Promise<boolean>(() => {}) } };
  await expect(open(stuck, closed, wish)).rejects.toMatchObject({ code: 'NotCaughtUp' });
  expect(calls).toEqual(['store.refresh']);
});

it('a hand-over lets nobody in before it waits for transactions, and the stop that follows ends the rest', async () => {
  const snapshot = aSnapshot();
  const { ports, calls } = createRecorder(snapshot);
  const settings = primarySettings(snapshot, { ssn: ['pg-1-1'], readOnly: true, gate: 'closed' });
  const next = await drainClients(ports, snapshot, { kind: 'drain-clients', settings });
  expect(next).toMatchObject({ kind: 'stop', mode: 'fast' });
  expect(calls).toEqual([
    'server.writeSettings ssn=pg-1-1 gate=closed upstream=nobody',
    'server.reload',
    'server.openTransactions',
  ]);
});

it('nothing is stopped for a shard that was frozen during the drain', async () => {
  const { ports } = createRecorder(aSnapshot({ isFrozen: true }));
  const snapshot = aSnapshot();
  const settings = primarySettings(snapshot, { ssn: ['pg-1-1'], readOnly: true, gate: 'closed' });
  expect(await drainClients(ports, snapshot, { kind: 'drain-clients', settings })).toBeUndefined();
});

it('a standby has its password before it is told whom to ask', async () => {
  const snapshot = aSnapshot({ role: 'sync' });
  const { ports, calls } = createRecorder(snapshot);
  if (snapshot.server.written === undefined) throw new Error('nothing written');
  await configure(ports, snapshot, { kind: 'restore-receiver', settings: snapshot.server.written });
  expect(calls).toEqual([
    'server.writeReceiverPassword current',
    'server.writeSettings ssn=pg-1-2 gate=closed upstream=pg-1-0',
    'server.reload',
    'server.inForce',
  ]);
});
