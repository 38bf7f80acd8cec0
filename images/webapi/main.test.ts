import { type ChildProcess, spawn } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { authMigrations } from '../../lib/auth/migrations.ts';
import { createEtcdCoordinator } from '../../lib/coordinator/etcd.ts';
import type { ConnectionTarget } from '../../lib/database/pool.ts';
import { dropDatabase, prepareDatabases } from '../../lib/database/prepare.ts';
import { createTestDatabases, type TestDatabases, testServer } from '../../lib/database/testing.ts';
import { createTestProxy } from '../../lib/database/testing-proxy.ts';
import { startEtcdCluster } from '../../lib/etcd-process/etcd-cluster.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createTokenSigner } from '../../lib/region-token/region-token.ts';
import { aPeer, aState, testKeys } from '../../lib/shard/testing.ts';
import { openRaw } from './testing/client.ts';

let databases: TestDatabases;
let dir: string;
let child: ChildProcess | undefined;

beforeAll(async () => {
  databases = await createTestDatabases({ control: [authMigrations] });
  dir = await mkdtemp(join(tmpdir(), 'manta-webapi-main-'));
});

afterAll(async () => {
  child?.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
  await databases.drop();
});

function addressOf(target: ConnectionTarget): object {
  const { host, port, database } = target();
  return { host, port, database };
}

/** With the key that the last configuration named. */
function signerOf(kid: string) {
  const privateKey = createPrivateKey(readFileSync(join(dir, `${kid}.pem`)));
  return createTokenSigner({ region: 'test', subject: 'operator/1', kid, privateKey, clock: systemClock });
}

async function writeConfig(name: string, places: Places): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
    publicKeyEncoding: { format: 'pem', type: 'spki' },
  });
  const files = { password: join(dir, 'password'), private: join(dir, 'k1.pem'), public: join(dir, 'k1.pub') };
  await writeFile(files.password, String(databases.control().password));
  await writeFile(files.private, privateKey);
  await writeFile(files.public, publicKey);
  const config = {
    webapi: {
      region: 'test',
      listen: { host: '127.0.0.1', port: 0 },
      control: { host: '127.0.0.1', port: 0 },
      timers: { lameDuck: 300 },
    },
    databases: { passwordFile: files.password },
    regionKey: { kid: 'k1', privateKeyFile: files.private, publicKeyFiles: { k1: files.public } },
  };
  const file = join(dir, `${name}.yaml`);
  await writeFile(file, JSON.stringify(merged(config, places)));
  return file;
}

interface Places {
  readonly databases: object;
  readonly nameservice?: object;
}

function merged(config: Places, places: Places): object {
  return { ...config, ...places, databases: { ...config.databases, ...places.databases } };
}

const fixedPlaces = () => ({
  databases: {
    shards: databases.index.map((target, i) => ({ shard: i + 1, ...addressOf(target) })),
    control: addressOf(databases.control),
  },
});

/** Starts the program; resolves when it listens. */
async function start(config: string) {
  const running = spawn(process.execPath, [resolve(import.meta.dirname, 'main.ts'), config]);
  child = running;
  const exited = once(running, 'exit');
  let log = '';
  const urls = await new Promise<{ url: string; internalUrl: string }>((found, failed) => {
    running.stderr.on('data', chunk => failed(new Error(String(chunk))));
    running.stdout.on('data', chunk => {
      log += chunk;
      const line = log.split('\n').find(text => text.includes('"msg":"listening"') && text.endsWith('}'));
      if (line !== undefined) found(JSON.parse(line));
    });
  });
  return { ...urls, exited, log: () => log, stop: () => running.kill('SIGTERM') };
}

test('the program serves pings, ends in order at SIGTERM, and logs no secret', async () => {
  const program = await start(await writeConfig('fixed', fixedPlaces()));
  const connection = openRaw(program.url);
  connection.write('GET /ping HTTP/1.1\r\n\r\n');
  await connection.until(/200 OK[\s\S]*\r\n\r\n$/);
  program.stop();
  expect(await program.exited).toEqual([0, null]);
  expect(program.log()).toContain('stopping');
  expect(program.log()).not.toContain(String(databases.control().password));
  expect(program.log()).not.toContain('PRIVATE');
});

test('the program brings its tables about, asks for a slot map meanwhile, and ends in order while it waits', async () => {
  const prefix = `test_${randomBytes(6).toString('hex')}`;
  const names = [`${prefix}_index`, `${prefix}_control`] as const;
  const superuser = () => ({ ...testServer(), database: 'postgres' });
  const passwords = { manta_migrate: 'test-migrate', manta_webapi: 'test-webapi' };
  await prepareDatabases(superuser, { databases: names, passwords });
  try {
    const migratePasswordFile = join(dir, 'migrate-password');
    await writeFile(migratePasswordFile, 'wrong');
    const [shard, control] = names.map(database => ({
      ...addressOf(databases.control),
      database,
      migratePasswordFile,
    }));
    const file = await writeConfig('empty', { databases: { shards: [{ shard: 1, ...shard }], control } });

    const waiting = spawn(process.execPath, [resolve(import.meta.dirname, 'main.ts'), file]);
    child = waiting;
    const ended = once(waiting, 'exit');
    let log = '';
    waiting.stdout.on('data', chunk => {
      log += chunk;
    });
    await eventually(() => expect(log).toContain('migration is tried again'), 60_000);
    waiting.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);

    await writeFile(migratePasswordFile, passwords.manta_migrate);
    const program = await start(file);
    await eventually(() => expect(program.log()).toContain('the region has no ring yet'), 60_000);
    expect((await fetch(new URL('/readyz', program.internalUrl))).status).toBe(503);
    const path = '/internal/v1/ring';
    const token = signerOf('k1').sign({ audience: 'webapi', operation: 'admin', path });
    const made = await fetch(new URL(path, program.internalUrl), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ shards: [1] }),
    });
    expect(made.status).toBe(201);
    await eventually(async () => {
      expect((await fetch(new URL('/readyz', program.internalUrl))).status).toBe(200);
    }, 60_000);
    program.stop();
    expect(await program.exited).toEqual([0, null]);
  } finally {
    child?.kill('SIGKILL');
    for (const name of names) await dropDatabase(superuser, name);
  }
}, 180_000);

test('the program finds the primaries of its databases through etcd, and follows them', async () => {
  const logger = pino({ level: 'silent' });
  const wires = [await createTestProxy(databases.control), await createTestProxy(databases.control)] as const;
  const etcd = await startEtcdCluster({ logger }, { members: 1, dir: join(dir, 'etcd'), unsafeNoFsync: true });
  const coordinator = createEtcdCoordinator({ logger, clock: systemClock }, { endpoints: etcd.endpoints });
  try {
    const promote = async (generation: number, wire: 0 | 1) => {
      const primary = aPeer(wire, { pgUrl: `postgresql://127.0.0.1:${wires[wire].target().port}` });
      const state = aState({ generation, primary, sync: aPeer(wire === 0 ? 1 : 0) });
      const put = { put: testKeys.state, value: JSON.stringify(state) };
      expect(await coordinator.commit({ compare: [], operations: [put] })).toMatchObject({ kind: 'committed' });
    };
    await promote(1, 0);
    const [index] = databases.index;
    const program = await start(
      await writeConfig('moving', {
        nameservice: { endpoints: etcd.endpoints },
        databases: {
          shards: [{ shard: 1, database: index().database }],
          control: { shard: 1, database: databases.control().database },
        },
      }),
    );
    const metrics = async () => (await fetch(new URL('/metrics', program.internalUrl))).text();
    await eventually(
      async () => expect(await metrics()).toContain('manta_webapi_primary_generation{shard="1"} 1'),
      60_000,
    );
    await eventually(() => expect(program.log()).toContain('the region has no ring yet'), 60_000);
    await wires[0].cut();
    await eventually(() => expect(program.log()).toContain('database unavailable'), 60_000);
    await promote(2, 1);
    await eventually(() => expect(program.log()).toContain('database answers again'), 60_000);
    program.stop();
    expect(await program.exited).toEqual([0, null]);
  } finally {
    await coordinator.close();
    await etcd.stop();
    for (const wire of wires) await wire.close();
  }
}, 180_000);
