import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { request } from 'undici';
import { type ControlServer, createControlServer } from '../../../lib/control-server/control-server.ts';
import { createPool, type Pool, poolDefaults } from '../../../lib/database/pool.ts';
import { createTestDatabases, type TestDatabases } from '../../../lib/database/testing.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { createStorageNodes } from '../../../lib/metadata/storage-nodes.ts';
import type { StorageNodes } from '../../../lib/metadata/types.ts';
import {
  createTokenSigner,
  createTokenVerifier,
  signNodeToken,
  type TokenSigner,
} from '../../../lib/region-token/region-token.ts';
import { startTestStorageNode } from '../../storage/testing.ts';
import { createHeartbeatRouter } from './heartbeat.ts';

const DAY_MS = 86_400_000;
const HEARTBEAT = '/internal/v1/heartbeat';
const logger = pino({ level: 'silent' });
const keys = generateKeyPairSync('ed25519');
let nowMs = Date.now();
const clock: Clock = { now: () => nowMs, monotonic: () => nowMs };
const common = { region: 'test', clock };
const signer: TokenSigner = createTokenSigner({ ...common, subject: 'w/1', kid: 'k1', privateKey: keys.privateKey });
const publicKeys = new Map([['k1', keys.publicKey]]);
const verifier = createTokenVerifier({ ...common, audience: 'webapi', publicKeys });

let databases: TestDatabases;
let control: Pool;
let storageNodes: StorageNodes;
let server: ControlServer;
let url: string;
let count = 0;

beforeAll(async () => {
  databases = await createTestDatabases();
  control = createPool({ logger, clock: systemClock }, databases.control, { ...poolDefaults, name: 'control' });
  storageNodes = createStorageNodes({ control });
  server = createControlServer(
    {
      logger,
      registry: new Registry(),
      isReady: () => true,
      routers: [['/internal/v1', createHeartbeatRouter({ storageNodes, verifier, signer, clock })]],
    },
    { host: '127.0.0.1', port: 0, drainMs: 100 },
  );
  url = (await server.listen()).url;
});
afterAll(async () => {
  await server.close();
  await control.close();
  await databases.drop();
});

function aHeartbeat(fields: object = {}) {
  count += 1;
  return {
    storageId: `${count}.stor.test`,
    incarnation: randomUUID(),
    layout: 1,
    baseUrl: 'http://127.0.0.1:8081',
    datacenter: 'z1',
    failureDomain: 'rack-4',
    totalBytes: 1_000,
    availBytes: 600,
    inodesFree: 99,
    writesInflight: 3,
    outOfService: false,
    version: '1.4.2',
    ...fields,
  };
}

async function send(method: 'POST' | 'PUT', path: string, body: unknown, token: string) {
  const response = await request(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.body.text();
  return { status: response.statusCode, body: text === '' ? undefined : JSON.parse(text) };
}

const beat = (heartbeat: { storageId: string }, token = signNodeToken(signer, heartbeat.storageId)) =>
  send('POST', HEARTBEAT, heartbeat, token);

function set(storageId: string, change: object, operation = 'admin') {
  const path = `/internal/v1/storage/${storageId}`;
  return send('PUT', path, change, signer.sign({ audience: 'webapi', operation, path }));
}

describe('a heartbeat', () => {
  it('registers the node and tells it what the region thinks of it', async () => {
    const heartbeat = aHeartbeat();
    const { status, body } = await beat(heartbeat);
    expect(status).toBe(200);
    expect(body).toEqual({ nodeNo: expect.any(Number), writes: 'enabled', lifecycle: 'active', nowMs });
    const views = await storageNodes.list();
    expect(views.find(view => view.nodeNo === body.nodeNo)).toMatchObject({
      storageId: heartbeat.storageId,
      availBytes: 600,
    });
  });

  it('brings a new token once half the time of the old one is spent', async () => {
    const heartbeat = aHeartbeat();
    const token = signNodeToken(signer, heartbeat.storageId);
    const before = nowMs;
    nowMs += 3 * DAY_MS;
    expect((await beat(heartbeat, token)).body.token).toBeUndefined();
    nowMs += DAY_MS;
    const renewed = (await beat(heartbeat, token)).body.token;
    nowMs += 4 * DAY_MS;
    expect((await beat(heartbeat, token)).status).toBe(401);
    expect((await beat(heartbeat, renewed)).status).toBe(200);
    nowMs = before;
  });

  it('speaks for no other node, and for nobody without a token of that kind', async () => {
    const heartbeat = aHeartbeat();
    expect((await beat(heartbeat, signNodeToken(signer, '99.stor.test'))).status).toBe(403);
    expect((await beat(heartbeat, signer.sign({ audience: 'webapi', operation: 'admin' }))).status).toBe(403);
    expect((await beat(heartbeat, 'a.b.c')).status).toBe(401);
    const views = await storageNodes.list();
    expect(views.map(view => view.storageId)).not.toContain(heartbeat.storageId);
  });

  it('with another volume is refused until a person accepts that volume', async () => {
    const heartbeat = aHeartbeat();
    const swapped = { ...heartbeat, incarnation: randomUUID() };
    await beat(heartbeat);
    expect(await beat(swapped)).toMatchObject({ status: 409, body: { code: 'IncarnationMismatch' } });
    await set(heartbeat.storageId, { acceptIncarnation: swapped.incarnation });
    expect((await beat(swapped)).status).toBe(200);
  });

  it('of a retired node is refused', async () => {
    const heartbeat = aHeartbeat();
    await beat(heartbeat);
    await set(heartbeat.storageId, { lifecycle: 'retired' });
    expect(await beat(heartbeat)).toMatchObject({ status: 403, body: { code: 'NodeRetired' } });
  });

  it.each([
    ['negative space', { availBytes: -1 }],
    ['no address', { baseUrl: 'somewhere' }],
    ['no incarnation', { incarnation: undefined }],
  ])('with %s is malformed', async (_, fields) => {
    expect((await beat(aHeartbeat(fields))).status).toBe(400);
  });

  it('of a real node arrives when it starts', async () => {
    // The node's own clock must agree with the time in its token.
    nowMs = Date.now();
    const node = await startTestStorageNode(
      { number: 77, webapiUrl: url },
      { nodeToken: signNodeToken(signer, '77.stor.test') },
    );
    const viewOf = async () => (await storageNodes.list()).find(view => view.storageId === '77.stor.test');
    expect(await viewOf()).toMatchObject({ baseUrl: node.baseUrl, outOfService: false, failureDomain: 'f77' });
    await node.close();
  });
});

describe('what an operator sets', () => {
  it('is seen by placement and told to the node', async () => {
    const heartbeat = aHeartbeat();
    await beat(heartbeat);
    expect((await set(heartbeat.storageId, { writes: 'disabled', lifecycle: 'draining' })).status).toBe(204);
    expect((await beat(heartbeat)).body).toMatchObject({ writes: 'disabled', lifecycle: 'draining' });
  });

  it('can be asked for, with what the nodes last said', async () => {
    const heartbeat = aHeartbeat({ availBytes: 77 });
    const swapped = { ...heartbeat, incarnation: randomUUID() };
    await beat(heartbeat);
    await beat(swapped);
    const path = '/internal/v1/storage';
    const list = async (operation: string) => {
      const token = signer.sign({ audience: 'webapi', operation, path });
      return request(url + path, { headers: { authorization: `Bearer ${token}` } });
    };
    const { body } = await list('admin');
    expect(await body.json()).toContainEqual(
      expect.objectContaining({
        storageId: heartbeat.storageId,
        availBytes: 77,
        writes: 'enabled',
        incarnation: heartbeat.incarnation,
        reportedIncarnation: swapped.incarnation,
      }),
    );
    expect((await list('heartbeat')).statusCode).toBe(403);
  });

  it('needs an admin token, a known node and known words', async () => {
    const { storageId } = aHeartbeat();
    expect((await set(storageId, { writes: 'disabled' }, 'heartbeat')).status).toBe(403);
    expect((await set(storageId, { writes: 'disabled' })).status).toBe(404);
    expect((await set(storageId, { writes: 'perhaps' })).status).toBe(400);
    expect((await set(storageId, { colour: 'blue' })).status).toBe(400);
  });
});
