import type { PeerRecord } from '../../../lib/shard/records.ts';
import type { TakeoverTrigger } from '../action.ts';
import { aRef, aSnapshot, type Difference, END, end } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { cutReceiver, takeOver } from './take-over.ts';

const key = '/manta/shards/1/peers/pg-1-0';
const action = (trigger: TakeoverTrigger) => ({ kind: 'take-over', trigger, candidate: 'pg-1-2' }) as const;
const scene = (difference: Difference) =>
  aSnapshot({ role: 'sync', server: { receiverPassword: 'empty' }, ...difference });
const by = (record: Partial<PeerRecord>) => scene({ records: { 'pg-1-0': record } });

describe('K2', () => {
  const snapshot = aSnapshot({ role: 'sync', primary: 'gone' });

  const done = ['server.writeReceiverPassword empty', 'server.receivers', 'server.terminate 77', 'server.receivers'];

  it('takes the password away first, only then lists and ends the receivers, and the takeover follows', async () => {
    const { ports, calls } = createRecorder(snapshot);
    expect(await cutReceiver(ports, snapshot)).toEqual(action('T-a'));
    expect(calls).toEqual(done);
  });

  it('stops asking where the takeover is due no more', async () => {
    const frozen = aSnapshot({ role: 'sync', primary: 'gone', isFrozen: true });
    const { ports, calls } = createRecorder(frozen);
    expect(await cutReceiver(ports, snapshot)).toBeUndefined();
    expect(calls).toEqual([...done, 'server.writeSettings ssn=pg-1-2 gate=closed upstream=nobody', 'server.reload']);
  });

  it('does not wait for receivers that come later: they have no password', async () => {
    const { ports, world } = createRecorder(snapshot);
    world.onCall = call => {
      if (call === 'server.terminate 77') world.receivers = [{ pid: 78, startedAt: 'later' }];
    };
    await expect(cutReceiver(ports, snapshot)).resolves.toEqual(action('T-a'));
  });

  it('waits for the process, not for its number', async () => {
    const { ports, world } = createRecorder(snapshot);
    world.receiversEnd = false;
    world.onCall = call => {
      if (call === 'server.terminate 77') world.receivers = [{ pid: 77, startedAt: 'anew' }];
    };
    await expect(cutReceiver(ports, snapshot)).resolves.toEqual(action('T-a'));
  });

  it('fails when one does not end, with the password away', async () => {
    const { ports, calls, world } = createRecorder(snapshot);
    world.receiversEnd = false;
    await expect(cutReceiver(ports, snapshot)).rejects.toMatchObject({ code: 'ReceiverStuck' });
    expect(calls).not.toContain('server.writeReceiverPassword current');
  });
});

describe('K1, K3 and K4', () => {
  it('read etcd anew, end receivers once more, drain, and only then write', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, calls, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-a'));
    const proofs = ['server.inForce', 'server.writeSettings', 'server.writeReceiverPassword', 'server.reload'];
    expect(calls.filter(call => !proofs.some(proof => call.startsWith(proof)))).toEqual([
      'store.refresh',
      'server.receivers',
      'server.terminate 77',
      'server.receivers',
      'server.terminateClients',
      'server.resumeReplay',
      'server.positions',
      'store.writeState 5',
      'local.save highWater,promotedTimelines',
      'store.refresh',
    ]);
    expect(written[0]?.next).toMatchObject({
      seq: 10,
      generation: 5,
      primary: { id: 'pg-1-1', incarnation: 'life-1' },
      sync: { id: 'pg-1-2' },
      async: [],
      deposed: [{ id: 'pg-1-0', sinceGeneration: 5, forkTimeline: 3, forkWal: END }],
      initWal: END,
      initTimeline: 3,
      timeline: 4,
      cause: 'takeover',
    });
  });

  it('are followed by the promotion, with its settings proved in force meanwhile', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, calls } = createRecorder(snapshot);
    const next = await takeOver(ports, snapshot, action('T-a'));
    expect(next).toMatchObject({ kind: 'promote', isProved: true, settings: { role: 'standby', ssn: ['pg-1-2'] } });
    expect(next?.settings).toMatchObject({ gate: 'closed', readOnly: true, upstream: undefined });
    expect(calls).toContain('server.inForce');
  });

  it('leave to the promotion what they could not prove', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, world } = createRecorder(snapshot);
    world.inForce = { ssn: [], readOnly: true, errors: 0 };
    expect(await takeOver(ports, snapshot, action('T-a'))).toMatchObject({ kind: 'promote', isProved: false });
  });

  it('are not followed by a promotion of who was superseded at once', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, world, written } = createRecorder(snapshot);
    world.onCall = call => {
      const { state } = world.fresh;
      if (call !== 'store.refresh' || written.length === 0 || state === undefined) return;
      world.fresh = { ...world.fresh, state: { ...state, value: { ...state.value, generation: 6 } } };
    };
    expect(await takeOver(ports, snapshot, action('T-a'))).toBeUndefined();
  });

  it('T-a deletes the key of the old primary in the same transaction', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-a'));
    expect(written[0]).toMatchObject({ compare: [], operations: [{ delete: key }] });
  });

  it('T-b compares the record that gave the role up', async () => {
    const snapshot = by({ status: 'abdicating' });
    const { ports, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-b'));
    expect(written[0]).toMatchObject({ compare: [{ key, modRevision: 60 }], operations: [] });
    expect(written[0]?.next.deposed).toHaveLength(1);
  });

  it('T-c compares the absence of the key', async () => {
    const snapshot = scene({ primary: 'detached', records: { 'pg-1-0': 'absent' } });
    const { ports, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-c'));
    expect(written[0]).toMatchObject({ compare: [{ key, is: 'absent' }], operations: [] });
  });

  it('put a primary that handed over to the tail', async () => {
    const snapshot = by({ status: 'handed-off', handedOffAt: END });
    const { ports, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-b'));
    expect(written[0]?.next).toMatchObject({ async: [{ id: 'pg-1-0' }], deposed: [], cause: 'switchover' });
  });

  it('depose a primary that handed over more than was replayed, if it is gone', async () => {
    const snapshot = scene({
      primary: 'gone',
      records: { 'pg-1-0': { status: 'handed-off', handedOffAt: '0/6000000' } },
    });
    const { ports, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-a'));
    expect(written[0]?.next).toMatchObject({ async: [], deposed: [{ id: 'pg-1-0' }], cause: 'takeover' });
  });

  it('do nothing to what was handed over while its last record is not whole', async () => {
    const snapshot = by({ status: 'handed-off', handedOffAt: END });
    const { ports, written, world } = createRecorder(snapshot);
    world.positions = { ...world.positions, replayed: end(-8) };
    await takeOver(ports, snapshot, action('T-b'));
    expect(written).toEqual([]);
  });

  it.each([
    ['a fresh read takes the reason away', by({ status: 'abdicating' }), scene({}), 'T-b'],
    ['the shard was frozen meanwhile', scene({ primary: 'gone' }), scene({ primary: 'gone', isFrozen: true }), 'T-a'],
    [
      'somebody else would be the next sync',
      scene({ primary: 'gone' }),
      scene({ primary: 'gone', state: { async: [aRef(3)] } }),
      'T-a',
    ],
  ] as const)('declare nothing when %s', async (_, snapshot, fresh, trigger) => {
    const { ports, written, calls, world } = createRecorder(snapshot);
    world.fresh = fresh.etcd;
    expect(await takeOver(ports, snapshot, action(trigger))).toBeUndefined();
    expect(written).toEqual([]);
    expect(calls).not.toContainEqual(expect.stringContaining('local.save'));
  });

  it('remember on the volume only what etcd has taken', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, calls, world } = createRecorder(snapshot);
    world.outcome = { kind: 'conflict' };
    await expect(takeOver(ports, snapshot, action('T-a'))).rejects.toMatchObject({ code: 'StateConflict' });
    expect(calls).not.toContainEqual(expect.stringContaining('local.save'));
  });

  it('ask the WAL when replay stands still, and wait while it has a record (H3)', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, calls, world, written } = createRecorder(snapshot);
    world.positions = { ...world.positions, replayed: end(-100) };
    world.hasRecord = true;
    await takeOver(ports, snapshot, action('T-a'));
    expect(calls).toContain('server.hasRecordAt');
    expect(written).toEqual([]);
  });

  it('do not count a partial record at the end', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, world, written } = createRecorder(snapshot);
    world.positions = { ...world.positions, replayed: end(-100) };
    await takeOver(ports, snapshot, action('T-a'));
    expect(written[0]?.next.initWal).toBe('0/4FFFF9C');
  });

  it('always ask the WAL after a restart, when nothing is known to have been received', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, calls, world } = createRecorder(snapshot);
    world.positions = { ...world.positions, received: undefined };
    await takeOver(ports, snapshot, action('T-a'));
    expect(calls).toContain('server.hasRecordAt');
  });

  it('leave the receiver cut when nobody knows what became of the write', async () => {
    const snapshot = scene({ primary: 'gone' });
    const { ports, calls, world } = createRecorder(snapshot);
    world.outcome = { kind: 'unknown', message: '' };
    await expect(takeOver(ports, snapshot, action('T-a'))).rejects.toMatchObject({ code: 'StateUnknown' });
    expect(calls).not.toContain('server.writeReceiverPassword current');
  });

  it('answer the request that wanted it', async () => {
    const requests = { switchover: { id: 'r', generation: 4, by: 'op' } };
    const snapshot = scene({ records: { 'pg-1-0': { status: 'handed-off', handedOffAt: END } }, requests });
    const { ports, written } = createRecorder(snapshot);
    await takeOver(ports, snapshot, action('T-b'));
    expect(written[0]?.operations).toEqual([
      { delete: '/manta/shards/1/request/switchover' },
      { put: '/manta/shards/1/answer', value: expect.stringContaining('"Done"') },
    ]);
  });
});
