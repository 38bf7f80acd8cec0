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

it('a gate opens after databases, after a fresh read, and is tried by a login', async () => {
  const { ports, calls } = createRecorder(closed);
  await open(ports, closed, wish);
  expect(calls).toEqual([
    'server.createDatabases',
    'store.refresh',
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
  expect(calls).toEqual(['server.createDatabases', 'store.refresh']);
});

it('the loop goes on when databases are not confirmed', async () => {
  const { ports, calls } = createRecorder(closed);
  const stuck = { ...ports, server: { ...ports.server, createDatabases: () => new Promise<boolean>(() => {}) } };
  await expect(open(stuck, closed, wish)).rejects.toMatchObject({ code: 'NotCaughtUp' });
  expect(calls).toEqual([]);
});

it('a hand-over lets nobody in before it waits for transactions, and leaves the rest to the stop', async () => {
  const snapshot = aSnapshot();
  const { ports, calls } = createRecorder(snapshot);
  const settings = primarySettings(snapshot, { ssn: ['pg-1-1'], readOnly: true, gate: 'closed' });
  await drainClients(ports, snapshot, { kind: 'drain-clients', settings });
  expect(calls).toEqual([
    'server.writeSettings ssn=pg-1-1 gate=closed upstream=nobody',
    'server.reload',
    'server.openTransactions',
  ]);
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
