import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { aKeyPair } from '../../../lib/auth/testing.ts';
import { startRegion, type TestRegion } from '../../webapi/testing/region.ts';
import { openTarget } from './open-target.ts';
import { type BackupTarget, getJson, putJson } from './target.ts';

const soon = () => AbortSignal.timeout(20_000);
const directory = mkdtempSync(join(tmpdir(), 'manta-target-'));
let region: TestRegion;

beforeAll(async () => {
  region = await startRegion();
}, 60_000);
afterAll(async () => {
  await region?.close();
  rmSync(directory, { recursive: true, force: true });
});

async function inRegion(): Promise<BackupTarget> {
  const pair = aKeyPair('rsa');
  const { login } = await region.account({ pair });
  const keyFile = join(directory, 'key.pem');
  writeFileSync(keyFile, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return openTarget(`${region.url}/${login}/stor/backups/1.moray`, { keyFile });
}

const kinds: readonly [string, () => BackupTarget | Promise<BackupTarget>][] = [
  ['a directory', () => openTarget(mkdtempSync(join(directory, 'in-')))],
  ['a Manta region', inRegion],
];

describe.each(kinds)('%s', (_, open) => {
  const put = (target: BackupTarget, path: string, content: string | Readable) =>
    target.put(path, typeof content === 'string' ? Readable.from([content]) : content, { maxBytes: 1_000_000 }, soon());
  const get = async (target: BackupTarget, path: string) => {
    const found = await target.get(path, soon());
    return found === undefined ? undefined : text(found);
  };
  const names = async (target: BackupTarget, path: string) =>
    (await target.list(path, soon())).map(({ name }) => name).sort();

  it('keeps what was put, and has nothing else', async () => {
    const target = await open();
    expect(await get(target, 'a/b')).toBeUndefined();
    expect(await names(target, 'a')).toEqual([]);
    await put(target, 'a/b', 'one');
    await put(target, 'a/c/d', 'two');
    await put(target, 'a/b', 'three');
    expect(await get(target, 'a/b')).toBe('three');
    expect(await names(target, 'a')).toEqual(['b', 'c']);
    expect((await target.list('a', soon())).find(({ name }) => name === 'b')).toMatchObject({ sizeBytes: 5 });
    for (const path of ['a/b', 'a/c/d', 'a/c', 'a/none', 'none/none']) await target.remove(path, soon());
    expect(await names(target, 'a')).toEqual([]);
    await put(target, 'a/c/d', 'four');
    expect(await names(target, 'a/c')).toEqual(['d']);
  }, 30_000);

  it('reads documents by their schema', async () => {
    const target = await open();
    const schema = z.object({ n: z.number() });
    await putJson(target, 'n.json', { n: 1 }, soon());
    expect(await getJson(target, 'n.json', schema, soon())).toEqual({ n: 1 });
    expect(await getJson(target, 'm.json', schema, soon())).toBeUndefined();
  }, 30_000);

  it('has nothing of a content that broke off', async () => {
    const target = await open();
    async function* breaking() {
      yield Buffer.alloc(100_000);
      throw new Error('broken off');
    }
    await expect(put(target, 'a/b', Readable.from(breaking(), { objectMode: false }))).rejects.toThrow();
    expect(await get(target, 'a/b')).toBeUndefined();
    expect(await names(target, 'a')).toEqual([]);
  }, 30_000);

  it('lists more than fits into one answer', async () => {
    const target = await open();
    const many = Array.from({ length: 270 }, (_, index) => String(index).padStart(3, '0'));
    for (let at = 0; at < many.length; at += 10)
      await Promise.all(many.slice(at, at + 10).map(name => put(target, `many/${name}`, name)));
    expect(await names(target, 'many')).toEqual(many);
  }, 60_000);
});

it('a directory that is not there is not made: it may be a disk that was not mounted', async () => {
  const target = openTarget(join(directory, 'unmounted'));
  await expect(target.put('a', Readable.from(['x']), { maxBytes: 1 }, soon())).rejects.toMatchObject({
    code: 'BackupTargetMissing',
  });
  expect(existsSync(join(directory, 'unmounted'))).toBe(false);
});

it('a region that does not know the key says so, and no file is taken for absent', async () => {
  const known = await inRegion();
  const keyFile = join(directory, 'stranger.pem');
  writeFileSync(keyFile, aKeyPair('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const target = openTarget(known.url, { keyFile });
  await expect(target.get('a', soon())).rejects.toMatchObject({ code: 'BackupTargetFailed' });
});

it('an address that names no target is refused', () => {
  for (const address of ['backups', 's3://bucket', 'http://host/', 'https://host/account/stor'])
    expect(() => openTarget(address, { keyFile: join(directory, 'key.pem') })).toThrow(
      expect.objectContaining({ code: 'BackupTargetUnknown' }),
    );
  expect(() => openTarget('http://host/account/stor/backups')).toThrow(/no key/);
});
