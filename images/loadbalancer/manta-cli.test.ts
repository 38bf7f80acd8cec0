import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inShell, type Running, startCoal } from '../coal/testing.ts';
import { type RunningLoadbalancer, startLoadbalancer } from './testing/start.ts';

/** The unmodified npm package `manta`, which signs for the name of the load balancer, and a real webapi behind it. */
let top: string;
let region: Running;
let balancer: RunningLoadbalancer;

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'manta-lb-cli-'));
  region = await startCoal(join(top, 'coal'));
  const [, port] = /MANTA_URL='http:\/\/[^:']+:(\d+)'/.exec(readFileSync(join(top, 'coal', 'env'), 'utf8')) ?? [];
  const backends = { kind: 'fixed' as const, list: [{ address: '127.0.0.1', port: Number(port) }] };
  balancer = await startLoadbalancer({ backends });
  await balancer.ready();
}, 120_000);
afterAll(async () => {
  await balancer.close();
  region.child.kill('SIGINT');
  await region.exited;
  rmSync(top, { recursive: true, force: true });
});

const sh = (text: string) =>
  inShell(join(top, 'coal'), `export MANTA_URL=${balancer.tlsUrl} MANTA_TLS_INSECURE=1; ${text}`);

describe('the manta command line through the load balancer', () => {
  it('writes and reads megabytes', async () => {
    writeFileSync(join(top, 'large'), randomBytes(24_000_000));
    await sh(`mput -qf ${join(top, 'large')} ~~/stor/large; mget -q -o ${join(top, 'copy')} ~~/stor/large`);
    const sha = (name: string) =>
      createHash('sha256')
        .update(readFileSync(join(top, name)))
        .digest('hex');
    expect(sha('copy')).toBe(sha('large'));
    expect(balancer.lines.filter(({ method, url }) => method === 'PUT' && url === '/admin/stor/large')).toHaveLength(1);
  }, 60_000);

  it('writes a stream of unknown length', async () => {
    await sh('seq 1 200000 | mput -q ~~/stor/stream');
    expect((await sh('mget -q ~~/stor/stream | tail -1')).trim()).toBe('200000');
  }, 60_000);

  it('signs names that every program on the way would like to write otherwise', async () => {
    const name = `it's 100% "fun" & [more]+~é`;
    writeFileSync(join(top, 'name'), name);
    await sh(`mmkdir -p ~~/stor/names; echo odd | mput -q "~~/stor/names/$(cat ${join(top, 'name')})"`);
    expect(await sh('mls ~~/stor/names')).toBe(`${name}\n`);
    expect(await sh(`mget -q "~~/stor/names/$(cat ${join(top, 'name')})"`)).toBe('odd\n');
  }, 60_000);

  it('makes links, lists and removes', async () => {
    await sh('echo a | mput -q ~~/stor/a; mln ~~/stor/a ~~/stor/b; mrm ~~/stor/a');
    expect(await sh('mget -q ~~/stor/b')).toBe('a\n');
    await sh('mrm -r ~~/stor/names');
    await expect(sh('mls ~~/stor/names')).rejects.toThrow(/NotFoundError/);
  }, 60_000);
});
