import { standbySettings } from '../facts.ts';
import { aSnapshot, aState, END_LSN, end } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { promote } from './promote.ts';

/** After K4, with the settings of the sync that this peer was until then. */
const snapshot = aSnapshot({
  state: { ...aState(), timeline: 4 },
  answered: { inRecovery: true, timeline: 3, flushed: undefined, received: END_LSN, replayed: END_LSN },
  written: { role: 'standby', ssn: ['pg-1-2'], gate: 'closed', readOnly: true },
});
const settings = { ...standbySettings(snapshot, undefined), ssn: ['pg-1-1'] };
const action = { kind: 'promote', settings } as const;
const place = (calls: readonly string[], start: string) => calls.findIndex(call => call.startsWith(start));

it('the volume knows, the settings are in force and the placeholders are there before the promotion; a primary’s settings come last', async () => {
  const { ports, calls } = createRecorder(snapshot);
  await promote(ports, snapshot, action);
  const promoted = place(calls, 'server.promote');
  const before = [
    'local.save',
    'record.forbidRewind',
    'server.writeSettings ssn=pg-1-1 gate=closed upstream=nobody',
    'server.inForce',
    'server.placePlaceholders 4',
  ];
  for (const start of before) {
    expect(place(calls, start)).toBeGreaterThan(-1);
    expect(place(calls, start)).toBeLessThan(promoted);
  }
  expect(calls.at(-2)).toBe('server.writeSettings ssn=pg-1-1 gate=closed upstream=nobody');
  expect(calls.at(-1)).toBe('server.reload');
});

it('a server whose volume could not be told is not promoted', async () => {
  const { ports, calls } = createRecorder(snapshot);
  const local = { ...ports.local, save: () => Promise.reject(new Error('disk full')) };
  await expect(promote({ ...ports, local }, snapshot, action)).rejects.toThrow('disk full');
  expect(calls).not.toContain('server.promote');
});

it('settings that were written before are still proved in force', async () => {
  const { ports, calls, world } = createRecorder(snapshot);
  world.settings = settings;
  await promote(ports, snapshot, action);
  expect(place(calls, 'server.inForce')).toBeGreaterThan(-1);
  expect(place(calls, 'server.inForce')).toBeLessThan(place(calls, 'server.promote'));
});

it('what has just been proved is not proved again', async () => {
  const { ports, calls } = createRecorder(snapshot);
  await promote(ports, snapshot, { ...action, isProved: true });
  expect(calls).not.toContain('server.inForce');
  expect(calls).toContain('server.promote');
});

it('a server whose settings are not in force is not promoted', async () => {
  const { ports, calls, world } = createRecorder(snapshot);
  world.settings = settings;
  world.inForce = { ssn: [], readOnly: true, errors: 0 };
  await expect(promote(ports, snapshot, action)).rejects.toMatchObject({ code: 'ConfigDrift' });
  expect(calls).not.toContain('server.promote');
});

it('a server started anew replays up to where the generation begins before it is promoted', async () => {
  const { ports, calls, world } = createRecorder(snapshot);
  world.positions = { ...world.positions, received: undefined, replayed: end(-0x300_0000) };
  world.hasRecord = true;
  await promote(ports, snapshot, action);
  expect(calls).not.toContain('server.promote');
});

it('a volume that does not reach it is not promoted at all', async () => {
  const { ports, calls, world } = createRecorder(snapshot);
  world.positions = { ...world.positions, received: undefined, replayed: end(-0x300_0000) };
  await expect(promote(ports, snapshot, action)).rejects.toMatchObject({ code: 'LostData' });
  expect(calls).not.toContain('server.promote');
});

it('another timeline than the reserved one gets no settings of a primary', async () => {
  const { ports, calls, world } = createRecorder(snapshot);
  world.positions = { ...world.positions, timeline: 7 };
  await expect(promote(ports, snapshot, action)).rejects.toMatchObject({ code: 'TimelineMismatch' });
  expect(calls.at(-1)).not.toBe('server.reload');
});

it('a promotion that does not end is one that failed', async () => {
  const { ports, world } = createRecorder(snapshot);
  const before = world.positions;
  world.onCall = () => {
    world.positions = before;
  };
  await expect(promote(ports, snapshot, action)).rejects.toMatchObject({ code: 'PromotionSlow' });
});
