import { aSender, aSnapshot, END, end } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { declareSync } from './replace-sync.ts';

const snapshot = aSnapshot({ sync: 'lost', written: { ssn: ['pg-1-2', 'pg-1-1'] } });
const action = { kind: 'declare-sync', candidate: 'pg-1-2' } as const;

function aRecorder() {
  const recorder = createRecorder(snapshot);
  recorder.world.senders = [aSender('pg-1-1', { priority: 2 })];
  return recorder;
}

it('J1 is proved in force, then the position is read, then the pair is declared', async () => {
  const { ports, calls, written } = aRecorder();
  await declareSync(ports, snapshot, action);
  expect(calls).toEqual([
    'server.inForce',
    'server.senders',
    'server.positions',
    'store.writeState 5',
    'store.refresh',
  ]);
  expect(written[0]?.next).toMatchObject({
    seq: 10,
    generation: 5,
    timeline: 3,
    sync: { id: 'pg-1-2', incarnation: 'life-2' },
    async: [{ id: 'pg-1-1' }],
    initWal: END,
    initTimeline: 3,
    cause: 'sync-replaced',
  });
});

it('the position is that of after the proof, not of before', async () => {
  const { ports, world, written } = aRecorder();
  world.onCall = call => {
    if (call === 'server.senders') world.positions = { ...world.positions, flushed: end(4_096) };
  };
  await declareSync(ports, snapshot, action);
  expect(written[0]?.next.initWal).toBe('0/5001000');
});

it('a sender that goes by the old names keeps it from being declared, and is ended after a second', async () => {
  const { ports, calls, world, written } = aRecorder();
  world.senders = [aSender('pg-1-1', { pid: 41, priority: 1 })];
  await expect(declareSync(ports, snapshot, action)).rejects.toMatchObject({ code: 'ConfigDrift' });
  expect(calls).toContain('server.terminate 41');
  expect(calls).not.toContain('server.positions');
  expect(written).toEqual([]);
});

it('names that are not the joint ones any more declare nothing', async () => {
  const { ports, calls, world } = aRecorder();
  world.settings = snapshot.server.written && { ...snapshot.server.written, ssn: ['pg-1-1'] };
  await declareSync(ports, snapshot, action);
  expect(calls).toEqual([]);
});

it('an old sync that is gone is dropped from the chain, though its record has not ended yet', async () => {
  const gone = aSnapshot({ sync: 'gone', written: { ssn: ['pg-1-2', 'pg-1-1'] } });
  const { ports, written, world } = createRecorder(gone);
  world.senders = [];
  await declareSync(ports, gone, action);
  expect(written[0]?.next.async).toEqual([]);
});

it('an old sync that is not well is dropped from the chain', async () => {
  const gone = aSnapshot({ sync: 'gone', written: { ssn: ['pg-1-2', 'pg-1-1'] }, records: { 'pg-1-1': 'absent' } });
  const { ports, written, world } = createRecorder(gone);
  world.senders = [];
  await declareSync(ports, gone, action);
  expect(written[0]?.next.async).toEqual([]);
});

it.each([
  ['conflict', { kind: 'conflict' }, 'StateConflict'],
  ['unknown', { kind: 'unknown', message: '' }, 'StateUnknown'],
  ['unavailable', { kind: 'unavailable', message: '' }, 'CoordinatorUnavailable'],
] as const)('after %s the joint names stay', async (_, outcome, code) => {
  const { ports, calls, world } = aRecorder();
  world.outcome = outcome;
  await expect(declareSync(ports, snapshot, action)).rejects.toMatchObject({ code });
  expect(calls.filter(call => call.startsWith('server.writeSettings'))).toEqual([]);
});
