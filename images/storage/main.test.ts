import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { request } from 'undici';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createTokenSigner, signNodeToken } from '../../lib/region-token/region-token.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signer = createTokenSigner({ region: 'test', subject: 'webapi/1', kid: 'k1', privateKey, clock: systemClock });
const storageId = '1.stor.test';
let dir: string;
let child: ChildProcess | undefined;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manta-storage-main-'));
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

async function writeConfig(): Promise<string> {
  const nodeTokenFile = join(dir, 'token');
  const publicKeyFile = join(dir, 'k1.pub');
  await writeFile(nodeTokenFile, `${signNodeToken(signer, storageId)}\n`);
  await writeFile(publicKeyFile, publicKey.export({ format: 'pem', type: 'spki' }));
  const config = {
    region: 'test',
    storage: {
      storageId,
      dir: join(dir, 'volume'),
      failureDomain: 'f1',
      webapiUrl: 'http://127.0.0.1:9',
      floorBytes: 0,
    },
    control: { host: '127.0.0.1', port: 0 },
    nodeTokenFile,
    publicKeyFiles: { k1: publicKeyFile },
  };
  const file = join(dir, 'storage.yaml');
  await writeFile(file, JSON.stringify(config));
  return file;
}

test('the program keeps objects, shows its health, ends in order at SIGTERM, and logs no token', async () => {
  child = spawn(process.execPath, [resolve(import.meta.dirname, 'main.ts'), await writeConfig()]);
  const exited = once(child, 'exit');
  let log = '';
  const urls = await new Promise<{ baseUrl: string; controlUrl: string }>((found, failed) => {
    child?.stderr?.on('data', chunk => failed(new Error(String(chunk))));
    child?.stdout?.on('data', chunk => {
      log += chunk;
      const line = log.split('\n').find(text => text.includes('"listening"'));
      if (line !== undefined) found(JSON.parse(line));
    });
  });
  expect((await request(`${urls.controlUrl}/readyz`)).statusCode).toBe(200);
  expect(await (await request(`${urls.controlUrl}/metrics`)).body.text()).toContain('manta_storage_out_of_service 0');

  const path = '/6b5a3a7c-8ff4-4b69-a8ab-3d4f9b7e2f10/0d6f3c1e-52b1-4f0a-9a6d-7c1f5a3e9b11';
  const token = signer.sign({ audience: `storage/${storageId}`, operation: 'put', path });
  const put = await request(urls.baseUrl + path, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: 'kept',
  });
  expect(put.statusCode).toBe(201);
  await put.body.dump();
  expect(await readFile(join(dir, 'volume', path), 'utf8')).toBe('kept');

  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(log).toContain('stopping');
  expect(log).not.toContain('eyJ');
});
