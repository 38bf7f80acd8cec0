import { pino } from 'pino';
import { createPool, type Pool, poolDefaults } from '../database/pool.ts';
import { createTestDatabases, queryOnce, type TestDatabases } from '../database/testing.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { newUuid } from './path.ts';
import { createStorageNodes } from './storage-nodes.ts';
import type { Heartbeat, StorageNodes } from './types.ts';

let databases: TestDatabases;
let control: Pool;
let nodes: StorageNodes;

beforeAll(async () => {
  databases = await createTestDatabases();
  const logger = pino({ level: 'silent' });
  control = createPool({ logger, clock: systemClock }, databases.control, { ...poolDefaults, name: 'control' });
  nodes = createStorageNodes({ control });
});
afterAll(async () => {
  await control.close();
  await databases.drop();
});

let count = 0;
function aHeartbeat(fields: Partial<Heartbeat> = {}): Heartbeat {
  count += 1;
  return {
    storageId: `${count}.stor.test`,
    incarnation: newUuid(),
    layout: 1,
    baseUrl: `http://127.0.0.1:${8000 + count}`,
    datacenter: 'z1',
    failureDomain: `rack-${count}`,
    totalBytes: 1_000,
    availBytes: 600,
    inodesFree: 99,
    writesInflight: 0,
    outOfService: false,
    version: '1.0.0',
    ...fields,
  };
}

async function viewOf(storageId: string) {
  return (await nodes.list()).find(node => node.storageId === storageId);
}

describe('storage nodes', () => {
  it('come into being by their first heartbeat and keep their number', async () => {
    const heartbeat = aHeartbeat();
    const [first, again] = await Promise.all([nodes.heartbeat(heartbeat), nodes.heartbeat(heartbeat)]);
    expect(first).toMatchObject({ kind: 'accepted', writes: 'enabled', lifecycle: 'active' });
    expect(again).toEqual(first);
    const other = await nodes.heartbeat(aHeartbeat());
    expect(other.kind === 'accepted' && first.kind === 'accepted' && other.nodeNo).not.toBe(
      first.kind === 'accepted' && first.nodeNo,
    );
  });

  it('are seen as their last heartbeat described them', async () => {
    const heartbeat = aHeartbeat();
    await nodes.heartbeat(heartbeat);
    await nodes.heartbeat({ ...heartbeat, availBytes: 5, baseUrl: 'http://10.0.0.9:1', outOfService: true });
    expect(await viewOf(heartbeat.storageId)).toMatchObject({
      storageId: heartbeat.storageId,
      baseUrl: 'http://10.0.0.9:1',
      datacenter: 'z1',
      failureDomain: heartbeat.failureDomain,
      writes: 'enabled',
      lifecycle: 'active',
      outOfService: true,
      totalBytes: 1_000,
      availBytes: 5,
      inodesFree: 99,
    });
  });

  it('grow old by the clock of the database', async () => {
    const heartbeat = aHeartbeat();
    await nodes.heartbeat(heartbeat);
    expect((await viewOf(heartbeat.storageId))?.heartbeatAgeMs).toBeLessThan(30_000);
    await queryOnce(
      databases.superuser.control,
      `UPDATE storage_capacity SET received = received - interval '90 s' FROM storage_node n
       WHERE n.node_no = storage_capacity.node_no AND n.storage_id = $1`,
      [heartbeat.storageId],
    );
    const age = (await viewOf(heartbeat.storageId))?.heartbeatAgeMs ?? 0;
    expect(age).toBeGreaterThanOrEqual(90_000);
    expect(age).toBeLessThan(120_000);
  });

  it('with another volume are refused, and out of service, until an operator accepts it', async () => {
    const heartbeat = aHeartbeat();
    await nodes.heartbeat(heartbeat);
    const swapped = { ...heartbeat, incarnation: newUuid(), baseUrl: 'http://10.0.0.1:1' };
    expect(await nodes.heartbeat(swapped)).toEqual({ kind: 'incarnation_mismatch' });
    expect(await viewOf(heartbeat.storageId)).toMatchObject({ outOfService: true, baseUrl: heartbeat.baseUrl });
    expect(await nodes.set(heartbeat.storageId, { acceptIncarnation: swapped.incarnation })).toBe(true);
    expect(await nodes.heartbeat(swapped)).toMatchObject({ kind: 'accepted' });
    expect(await viewOf(heartbeat.storageId)).toMatchObject({ outOfService: false, baseUrl: swapped.baseUrl });
    expect(await nodes.heartbeat(heartbeat)).toEqual({ kind: 'incarnation_mismatch' });
  });

  it('are what an operator sets them to', async () => {
    const heartbeat = aHeartbeat();
    await nodes.heartbeat(heartbeat);
    await nodes.set(heartbeat.storageId, { writes: 'disabled' });
    await nodes.set(heartbeat.storageId, { lifecycle: 'draining' });
    expect(await nodes.heartbeat(heartbeat)).toMatchObject({ writes: 'disabled', lifecycle: 'draining' });
    await nodes.set(heartbeat.storageId, { lifecycle: 'retired' });
    expect(await nodes.heartbeat(heartbeat)).toEqual({ kind: 'retired' });
    expect(await nodes.set('none.stor.test', { writes: 'disabled' })).toBe(false);
  });
});
