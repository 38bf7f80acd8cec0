import { aRef, aSnapshot, aState } from '../testing/a-snapshot.ts';
import { createRecorder } from '../testing/recorder.ts';
import { bootstrap, recordSystem } from './bootstrap.ts';

it('the first state uses up the leave to begin, in the order in which peers registered', async () => {
  const snapshot = aSnapshot({
    state: 'absent',
    process: 'down',
    directory: 'none',
    etcd: { bootstrap: { value: { at: 'now' }, modRevision: 45 } },
  });
  const { ports, written } = createRecorder(snapshot);
  await bootstrap(ports, snapshot);
  expect(written[0]).toMatchObject({
    next: {
      seq: 1,
      generation: 1,
      primary: { id: 'pg-1-0' },
      sync: { id: 'pg-1-1' },
      async: [{ id: 'pg-1-2' }],
      systemId: null,
      initWal: '0/0',
    },
    compare: [{ key: '/manta/shards/1/bootstrap', modRevision: 45 }],
    operations: [{ delete: '/manta/shards/1/bootstrap' }],
  });
});

it('roles come first, then the volume knows its database, then the shard does', async () => {
  const snapshot = aSnapshot({ state: { ...aState(), systemId: null, primary: aRef(0, { incarnation: null }) } });
  const { ports, calls, written } = createRecorder(snapshot);
  await recordSystem(ports, snapshot);
  expect(calls.filter(call => call !== 'server.positions')).toEqual([
    'server.createRoles',
    'local.save systemId',
    'store.writeState 4',
    'store.refresh',
  ]);
  expect(written[0]?.next).toMatchObject({ primary: { incarnation: 'life-0' }, pgMajor: 18, cause: 'system-id' });
});
