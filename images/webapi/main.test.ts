import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { authMigrations } from '../../lib/auth/migrations.ts';
import type { ConnectionTarget } from '../../lib/database/pool.ts';
import { createTestDatabases, type TestDatabases } from '../../lib/database/testing.ts';
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

async function writeConfig(): Promise<string> {
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
    databases: {
      shards: databases.index.map((target, i) => ({ shard: i + 1, ...addressOf(target) })),
      control: addressOf(databases.control),
      passwordFile: files.password,
    },
    regionKey: { kid: 'k1', privateKeyFile: files.private, publicKeyFiles: { k1: files.public } },
  };
  const file = join(dir, 'webapi.yaml');
  await writeFile(file, JSON.stringify(config));
  return file;
}

test('the program serves pings, ends in order at SIGTERM, and logs no secret', async () => {
  child = spawn(process.execPath, [resolve(import.meta.dirname, 'main.ts'), await writeConfig()]);
  const exited = once(child, 'exit');
  let log = '';
  const url = await new Promise<string>((found, failed) => {
    child?.stderr?.on('data', chunk => failed(new Error(String(chunk))));
    child?.stdout?.on('data', chunk => {
      log += chunk;
      const listening = /"url":"(http:[^"]+)"/.exec(log)?.[1];
      if (listening !== undefined) found(listening);
    });
  });
  const connection = openRaw(url);
  connection.write('GET /ping HTTP/1.1\r\n\r\n');
  await connection.until(/200 OK[\s\S]*\r\n\r\n$/);
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(log).toContain('stopping');
  expect(log).not.toContain(String(databases.control().password));
  expect(log).not.toContain('PRIVATE');
});
