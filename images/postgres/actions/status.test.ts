import { aSnapshot, END } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { abdicate, handOff } from './status.ts';

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
