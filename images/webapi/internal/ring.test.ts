import { generateKeyPairSync } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { request } from 'undici';
import { type ControlServer, createControlServer } from '../../../lib/control-server/control-server.ts';
import { createPool, type Pool, poolDefaults } from '../../../lib/database/pool.ts';
import { createTestDatabases, queryOnce, type TestDatabases } from '../../../lib/database/testing.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { createTokenSigner, createTokenVerifier } from '../../../lib/region-token/region-token.ts';
import { createRingAdmin } from '../ring-admin.ts';
import { createRingRouter } from './ring.ts';

const logger = pino({ level: 'silent' });
const keys = generateKeyPairSync('ed25519');
const common = { region: 'test', clock: systemClock };
const signer = createTokenSigner({ ...common, subject: 'operator/1', kid: 'k1', privateKey: keys.privateKey });
const publicKeys = new Map([['k1', keys.publicKey]]);
const verifier = createTokenVerifier({ ...common, audience: 'webapi', publicKeys });

let databases: TestDatabases;
let control: Pool;
let server: ControlServer;
let url: string;

beforeEach(async () => {
  databases = await createTestDatabases();
  const deps = { logger, clock: systemClock };
  control = createPool(deps, databases.control, { ...poolDefaults, name: 'control' });
  const shards = databases.index.map((connection, i) => ({ shard: 2 * i + 2, connection }));
  const ring = createRingAdmin({ ...deps, control }, shards);
  server = createControlServer(
    {
      logger,
      registry: new Registry(),
      isReady: () => true,
      routers: [['/internal/v1', createRingRouter({ ring, verifier, logger })]],
    },
    { host: '127.0.0.1', port: 0, drainMs: 100 },
  );
  url = (await server.listen()).url;
});

afterEach(async () => {
  await server.close();
  await control.close();
  await databases.drop();
});

const PATH = '/internal/v1/ring';

async function ask(method: 'GET' | 'POST', body?: object, operation = 'admin') {
  const token = signer.sign({ audience: 'webapi', operation, path: PATH });
  const response = await request(url + PATH, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
  });
  return { status: response.statusCode, body: (await response.body.json()) as Record<string, unknown> };
}

const halves = [
  { lo: 0, hi: 65_535, shard: 2, epoch: 1 },
  { lo: 65_536, hi: 131_071, shard: 4, epoch: 1 },
];

test('the slot map is made once, by number of shard, and never changed by a second request', async () => {
  expect((await ask('GET')).status).toBe(404);
  const made = await ask('POST', { shards: [4, 2, 4] });
  expect(made).toEqual({
    status: 201,
    body: { version: 1, digest: expect.stringMatching(/^[\da-f]{64}$/), ranges: halves },
  });
  expect(await ask('POST', { shards: [2] })).toEqual({ ...made, status: 200 });
  expect(await ask('GET')).toEqual({ ...made, status: 200 });
  expect(await queryOnce(databases.superuser.index[1], 'SELECT lo, hi FROM shard_range')).toEqual([
    { lo: 65_536, hi: 131_071 },
  ]);
});

test('a slot map over a shard that webapi does not know is refused before anything is written', async () => {
  expect(await ask('POST', { shards: [2, 3] })).toMatchObject({ status: 400, body: { code: 'InvalidParameter' } });
  expect((await ask('GET')).status).toBe(404);
  expect(await queryOnce(databases.superuser.index[0], 'SELECT 1 FROM shard_range')).toEqual([]);
});

test.each([
  ['no shards', { shards: [] }],
  ['no numbers', { shards: ['2'] }],
  ['something else as well', { shards: [2], force: true }],
])('a slot map with %s is malformed', async (_, body) => {
  expect((await ask('POST', body)).status).toBe(400);
});

test('both need an admin token', async () => {
  expect((await ask('GET', undefined, 'heartbeat')).status).toBe(403);
  expect((await ask('POST', { shards: [2] }, 'heartbeat')).status).toBe(403);
});
