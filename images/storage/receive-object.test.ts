import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { codeOf } from '../../lib/errors/manta-error.ts';
import { beginReception } from './receive-object.ts';
import { openVolume, type Volume } from './volume.ts';
import { systemFiles, type VolumeFiles } from './volume-files.ts';

const freeClaim = { wrote: async () => {}, release: () => {} };
const creator = randomUUID();
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manta-volume-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

/** Records every call by its meaning, and fails the one after `failAfter` calls, if any. */
function recording() {
  const calls: string[] = [];
  const faults = { failAfter: Number.POSITIVE_INFINITY };
  const step = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
    calls.push(what);
    if (calls.length > faults.failAfter) throw Object.assign(new Error(`injected at ${what}`), { code: 'EIO' });
    return run();
  };
  const short = (path: string) =>
    path === dir ? 'volume' : path.startsWith(join(dir, 'tmp')) ? 'tmp' : basename(path);
  const files: VolumeFiles = {
    create: path => step(`create in ${short(path)}`, () => systemFiles.create(path)),
    syncFile: file => step('sync file', () => systemFiles.syncFile(file)),
    rename: (from, to) => step(`rename from ${short(from)}`, () => systemFiles.rename(from, to)),
    makeDirectory: path => step(`make ${short(path)}`, () => systemFiles.makeDirectory(path)),
    syncDirectory: path => step(`sync ${short(path)}`, () => systemFiles.syncDirectory(path)),
  };
  return { files, calls, faults };
}

async function put(volume: Volume, body: Buffer | Readable, expected: { bytes?: number; md5?: string } = {}) {
  const objectId = randomUUID();
  const reception = await beginReception(volume, { creator, objectId, ...expected });
  const stored = await reception.store(body instanceof Readable ? body : Readable.from([body]), freeClaim);
  return { objectId, stored };
}

/** Faults begin with the upload: the volume itself is made with working files. */
async function openRecorded(failAfter = Number.POSITIVE_INFINITY) {
  const { files, calls, faults } = recording();
  const volume = await openVolume(dir, '1.stor.test', files);
  calls.length = 0;
  faults.failAfter = failAfter;
  return { volume, calls };
}

describe('an upload', () => {
  it('syncs the bytes, then the new directory, then renames, then syncs the name', async () => {
    const { volume, calls } = await openRecorded();
    await put(volume, Buffer.from('first'));
    expect(calls).toEqual([
      'create in tmp',
      'sync file',
      `make ${creator}`,
      'sync volume',
      'rename from tmp',
      `sync ${creator}`,
    ]);
    calls.length = 0;
    await put(volume, Buffer.from('second'));
    expect(calls).toEqual(['create in tmp', 'sync file', 'rename from tmp', `sync ${creator}`]);
  });

  it('of many bytes is synced while it flows in, and once more at its end', async () => {
    const synced: number[] = [];
    // Nothing of it need reach the disk here.
    const syncFile = async (file: FileHandle) => void synced.push((await file.stat()).size);
    const volume = await openVolume(dir, '1.stor.test', { ...systemFiles, syncFile });
    synced.length = 0;
    await put(volume, Readable.from(Array.from({ length: 130 }, () => Buffer.alloc(1 << 20))));
    expect(synced).toHaveLength(3);
    expect(synced.at(-1)).toBe(130 << 20);
  });

  it('of many bytes fails when a sync on the way fails, and takes the volume out of service', async () => {
    const { volume } = await openRecorded(1);
    const body = Readable.from(Array.from({ length: 66 }, () => Buffer.alloc(1 << 20)));
    await expect(put(volume, body)).rejects.toMatchObject({ code: 'InternalError' });
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
    expect(volume.outOfService()).toBe('a file could not be synced');
  });

  it('is stored byte for byte, with the length and digest of what arrived', async () => {
    const volume = await openVolume(dir, '1.stor.test');
    const body = Buffer.alloc(3_500_000, 'manta ray ');
    const chunks = Array.from({ length: 54 }, (_, i) => body.subarray(i * 65_536, (i + 1) * 65_536));
    const { objectId, stored } = await put(volume, Readable.from(chunks));
    expect(stored).toEqual({ bytes: body.length, md5: createHash('md5').update(body).digest('base64') });
    expect((await readFile(join(dir, creator, objectId))).equals(body)).toBe(true);
  });

  // A power cut after the answer needs every sync before it; one that fails anywhere must leave nothing.
  it.each([1, 2, 3, 4, 5])(
    'that fails after %i steps leaves no temporary file and answers an error',
    async failAfter => {
      const { volume, calls } = await openRecorded(failAfter);
      await expect(put(volume, Buffer.from('doomed'))).rejects.toMatchObject({ code: 'InternalError' });
      expect(await readdir(join(dir, 'tmp'))).toEqual([]);
      // Any sync: a repeated one could call durable what the failed one has lost.
      expect(volume.outOfService() !== undefined).toBe(calls.at(-1)?.startsWith('sync'));
    },
  );

  it('that the volume does not take is refused before any byte', async () => {
    const { volume } = await openRecorded(0);
    await expect(put(volume, Buffer.from('doomed'))).rejects.toMatchObject({ code: 'Unavailable' });
  });

  it.each([
    ['another digest', { md5: 'AAAAAAAAAAAAAAAAAAAAAA==' }, 'ContentMD5Mismatch'],
    ['another length', { bytes: 7 }, 'BadRequest'],
  ])('with %s than declared leaves nothing', async (_, expected, code) => {
    const volume = await openVolume(dir, '1.stor.test');
    await expect(put(volume, Buffer.from('hello'), expected)).rejects.toMatchObject({ code });
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
    await expect(stat(join(dir, creator))).rejects.toThrow();
  });

  it('whose sender goes away in the middle leaves nothing', async () => {
    const volume = await openVolume(dir, '1.stor.test');
    const body = Readable.from(
      (async function* () {
        yield Buffer.alloc(2_000_000);
        throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
      })(),
    );
    await expect(put(volume, body)).rejects.toThrow();
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
  });

  it('that runs out of space answers NotEnoughSpace and leaves nothing', async () => {
    const volume = await openVolume(dir, '1.stor.test');
    const reception = await beginReception(volume, { creator, objectId: randomUUID() });
    const full = {
      wrote: async () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })),
      release: () => {},
    };
    await expect(reception.store(Readable.from([Buffer.alloc(10)]), full)).rejects.toMatchObject({
      code: 'NotEnoughSpace',
    });
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
  });
});

describe('openVolume', () => {
  it('removes what a dead process left in tmp', async () => {
    const volume = await openVolume(dir, '1.stor.test');
    await (await systemFiles.create(volume.temporaryPath())).close();
    await openVolume(dir, '1.stor.test');
    expect(await readdir(join(dir, 'tmp'))).toEqual([]);
  });

  it('keeps its incarnation, and refuses the volume of another node', async () => {
    const first = await openVolume(dir, '1.stor.test');
    expect((await openVolume(dir, '1.stor.test')).identity).toEqual(first.identity);
    await expect(openVolume(dir, '2.stor.test')).rejects.toMatchObject({ code: 'ForeignVolume' });
  });

  it('refuses a directory that holds other things', async () => {
    await (await systemFiles.create(join(dir, 'thesis.doc'))).close();
    expect(codeOf(await openVolume(dir, '1.stor.test').catch(error => error))).toBe('ForeignVolume');
    expect(await readdir(dir)).toEqual(['thesis.doc']);
  });
});
