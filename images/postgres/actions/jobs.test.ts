import { MantaError } from '../../../lib/errors/manta-error.ts';
import { standbySettings } from '../facts.ts';
import { anEndpoint, aSnapshot } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { checkpoint, rewind, start } from './jobs.ts';

const from = anEndpoint(0);
const action = { kind: 'rewind', from } as const;

it('a server starts on settings that were written, with a password only where it receives', async () => {
  const snapshot = aSnapshot({ role: 'sync', process: 'down' });
  const { ports, calls, job } = createRecorder(snapshot);
  start(ports, snapshot, { kind: 'start', settings: standbySettings(snapshot, undefined) });
  await job.ended;
  expect(calls).toEqual([
    'server.writeReceiverPassword empty',
    'server.writeSettings ssn=pg-1-2 gate=closed upstream=nobody',
    'server.start',
  ]);
});

it('the volume knows of a later state before the server starts in its role', async () => {
  const snapshot = aSnapshot({ role: 'async', process: 'down', state: { seq: 12 } });
  const { ports, calls, job } = createRecorder(snapshot);
  start(ports, snapshot, { kind: 'start', settings: standbySettings(snapshot, from) });
  await job.ended;
  expect(calls[0]).toBe('local.save highWater');
  expect(calls[1]).toBe('server.writeReceiverPassword current');
});

it('a directory whose rewind failed is current no more', async () => {
  const snapshot = aSnapshot({ role: 'deposed', process: 'crashed' });
  const { ports, calls, world, job } = createRecorder(snapshot);
  world.onCall = call => {
    if (call.startsWith('server.rewind')) throw new Error('failed');
  };
  rewind(ports, snapshot, action);
  await expect(job.ended).rejects.toThrow('failed');
  expect(calls).toEqual(['server.rewind pg-1-0', 'local.save incarnation']);
  expect(ports.local.current().incarnation).toBeNull();
});

it('a source that did not answer costs no directory', async () => {
  const snapshot = aSnapshot({ role: 'deposed', process: 'crashed' });
  const { ports, world, job } = createRecorder(snapshot);
  world.onCall = call => {
    if (call.startsWith('server.rewind')) throw new MantaError('SourceUnreachable', 'no answer');
  };
  rewind(ports, snapshot, action);
  await expect(job.ended).rejects.toMatchObject({ code: 'SourceUnreachable' });
  expect(ports.local.current().incarnation).toBe('life-2');
});

it('a server that could not follow is stopped first, and rebuilt when there was nothing to rewind', async () => {
  const snapshot = aSnapshot({ role: 'async' });
  const { ports, calls, job } = createRecorder(snapshot);
  rewind(ports, snapshot, action);
  await expect(job.ended).rejects.toMatchObject({ code: 'RebuildFailed' });
  expect(calls).toEqual(['server.stop fast', 'server.rewind pg-1-0', 'local.save incarnation']);
});

it('a server that was down may have had nothing to rewind', async () => {
  const snapshot = aSnapshot({ role: 'deposed', process: 'crashed' });
  const { ports, job } = createRecorder(snapshot);
  rewind(ports, snapshot, action);
  await job.ended;
  expect(ports.local.current().incarnation).toBe('life-2');
});

it('others may rewind from a primary only after its checkpoint has ended', async () => {
  const snapshot = aSnapshot({ evidence: { rewindable: false } });
  const { ports, calls, job } = createRecorder(snapshot);
  checkpoint(ports);
  await job.ended;
  expect(calls).toEqual(['server.checkpoint', 'record.set {"rewindable":true}']);
});

it('nobody has to wait for a checkpoint that hangs', async () => {
  const snapshot = aSnapshot({ evidence: { rewindable: false } });
  const { ports, calls, job } = createRecorder(snapshot);
  checkpoint({ ...ports, server: { ...ports.server, checkpoint: () => new Promise(() => {}) } });
  job.abort.abort();
  await expect(job.ended).rejects.toThrow();
  expect(calls).toEqual([]);
});
