import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startRegion, type TestRegion } from '../images/webapi/testing/region.ts';
import { aKeyPair } from '../lib/auth/testing.ts';
import { CHART } from './testing.ts';

let region: TestRegion;
let keys: string;

beforeAll(async () => {
  region = await startRegion();
  keys = mkdtempSync(join(tmpdir(), 'manta-smoke-test-'));
}, 120_000);

afterAll(async () => {
  await region?.close();
  rmSync(keys, { recursive: true, force: true });
});

function run(): Promise<{ stdout: string; stderr: string }> {
  const program = join(CHART, 'files', 'smoke-test.mjs');
  return promisify(execFile)(process.execPath, [program, region.url, keys], { timeout: 25_000 });
}

describe('the program of helm test', () => {
  it('fails, and shows the answer, where poseidon is not known', async () => {
    const stranger = aKeyPair('rsa');
    writeFileSync(join(keys, 'id_rsa'), stranger.privatePem);
    writeFileSync(join(keys, 'key-id'), stranger.view.md5Fingerprint);
    await expect(run()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/PUT .*: 40\d instead of 204/),
    });
  });

  it('writes, lists, reads and deletes an object as poseidon, and leaves nothing', async () => {
    const pair = aKeyPair('rsa');
    const poseidon = await region.account({ login: 'poseidon', pair });
    writeFileSync(join(keys, 'id_rsa'), pair.privatePem);
    writeFileSync(join(keys, 'key-id'), `${pair.view.md5Fingerprint}\n`);
    const { stdout } = await run();
    expect(stdout).toContain('ok: an object was written, listed, read and deleted');
    expect((await poseidon.request('GET', '/poseidon/stor')).text).toBe('');
  });
});
