import { aRef, aSnapshot, END } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { abdicate, handOff, setStatus } from './status.ts';

it('a primary abdicates only after the proof that nothing of its server is left', async () => {
  const snapshot = aSnapshot({ process: 'remains' });
  const { ports, calls } = createRecorder(snapshot);
  await abdicate(ports, snapshot, { kind: 'abdicate', why: 'test' });
  expect(calls).toEqual(['jobs.abort', 'server.stop kill', 'record.set {"status":"abdicating","statusGeneration":4}']);
});

it('a primary whose server does not end does not say that it abdicates', async () => {
  const snapshot = aSnapshot({ process: 'remains' });
  const { ports, calls, world } = createRecorder(snapshot);
  world.onCall = call => {
    if (call === 'server.stop kill') throw new Error('still there');
  };
  await expect(abdicate(ports, snapshot, { kind: 'abdicate', why: 'test' })).rejects.toThrow('still there');
  expect(calls.at(-1)).toBe('server.stop kill');
});

it('a primary hands over with the end that its control file proves', async () => {
  const snapshot = aSnapshot({ process: 'down', status: 'handoff' });
  const { ports, calls } = createRecorder(snapshot);
  await handOff(ports, snapshot);
  expect(calls).toEqual([`record.set {"status":"handed-off","statusGeneration":4,"handedOffAt":"${END}"}`]);
});

it.each([
  ['is up', aSnapshot({ status: 'handoff' })],
  ['crashed', aSnapshot({ status: 'handoff', process: 'crashed' })],
  ['ended at an unknown place', aSnapshot({ status: 'handoff', process: 'down', directory: { end: undefined } })],
])('a primary whose server %s hands nothing over', async (_, snapshot) => {
  const { ports, calls } = createRecorder(snapshot);
  await expect(handOff(ports, snapshot)).rejects.toMatchObject({ code: 'PostgresOffline' });
  expect(calls).toEqual([]);
});

it('a hand-over goes on to the drain as soon as it is announced', async () => {
  const snapshot = aSnapshot();
  const { ports, calls } = createRecorder(snapshot);
  const next = await setStatus(ports, snapshot, { kind: 'set-status', status: 'handoff' });
  expect(next).toMatchObject({ kind: 'drain-clients', settings: { gate: 'closed', readOnly: true, ssn: ['pg-1-1'] } });
  expect(calls).toEqual(['record.set {"status":"handoff","statusGeneration":4}']);
});

it.each([
  ['another status', 'active', aSnapshot()],
  ['a shard that was frozen meanwhile', 'handoff', aSnapshot({ isFrozen: true })],
  [
    'a peer that is the primary no more',
    'handoff',
    aSnapshot({ state: { primary: aRef(1), sync: aRef(2), async: [] } }),
  ],
] as const)('nothing follows %s', async (_, status, now) => {
  const { ports } = createRecorder(now);
  expect(await setStatus(ports, aSnapshot(), { kind: 'set-status', status })).toBeUndefined();
});
