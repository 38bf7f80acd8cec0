import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { beginReception } from './receive-object.ts';
import { openVolume } from './volume.ts';
import { systemFiles, type VolumeFiles } from './volume-files.ts';

/** A file by its identity, whatever its name: what of it would survive. */
interface Inode {
  path: string;
  durable?: Buffer;
}

/**
 * A disk that keeps account of what a power cut would leave: of a file its bytes when the last finished sync began, of
 * a directory its entries at that moment. Everything else may or may not survive. `onChange` runs after each step.
 */
function aDisk(pause: () => Promise<void>, onChange: (names: ReadonlyMap<string, Inode | 'directory'>) => void) {
  const current = new Map<string, Inode | 'directory'>();
  const durable = new Set<string>();
  const inodes = new Map<FileHandle, Inode>();
  const files: VolumeFiles = {
    async create(path) {
      const file = await systemFiles.create(path);
      const inode = { path };
      inodes.set(file, inode);
      current.set(path, inode);
      onChange(current);
      return file;
    },
    async syncFile(file) {
      const inode = inodes.get(file);
      if (inode === undefined) throw new Error('a file nobody created');
      const bytes = await readFile(inode.path);
      await pause();
      inode.durable = bytes;
    },
    async rename(from, to) {
      await systemFiles.rename(from, to);
      const inode = current.get(from);
      if (inode === undefined || inode === 'directory') throw new Error('a file nobody created');
      inode.path = to;
      current.delete(from);
      current.set(to, inode);
      onChange(current);
    },
    async makeDirectory(path) {
      await systemFiles.makeDirectory(path);
      current.set(path, 'directory');
    },
    async syncDirectory(dir) {
      const entries = [...current.keys()].filter(path => dirname(path) === dir);
      await pause();
      for (const path of durable) if (dirname(path) === dir && !current.has(path)) durable.delete(path);
      for (const path of entries) durable.add(path);
    },
  };
  return { files, current, durable };
}

const upload = fc.record({ creator: fc.nat(2), bytes: fc.nat(3_000_000), startsAfter: fc.nat(20) });

describe('after a power cut at any moment', () => {
  it('every acknowledged object is whole, and no other one is visible in part', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(upload, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(12), { minLength: 1 }),
        async (uploads, pauses) => {
          const dir = await mkdtemp(join(tmpdir(), 'manta-power-'));
          const bodies = new Map<string, Buffer>();
          let paused = 0;
          const pause = async () => {
            for (let turns = pauses[paused++ % pauses.length] ?? 0; turns > 0; turns -= 1) await nextTurn();
          };
          const disk = aDisk(pause, names => {
            // Under its final name a file may survive even if that name was never synced: so its bytes must be.
            for (const [path, inode] of names) {
              const body = bodies.get(basename(path));
              if (body !== undefined && inode !== 'directory') expect(inode.durable?.equals(body)).toBe(true);
            }
          });
          const creators = [randomUUID(), randomUUID(), randomUUID()];
          try {
            const volume = await openVolume(dir, '1.stor.test', disk.files);
            await Promise.all(
              uploads.map(async ({ creator: index, bytes, startsAfter }) => {
                const creator = creators[index] ?? '';
                const objectId = randomUUID();
                const body = Buffer.alloc(bytes, objectId);
                bodies.set(objectId, body);
                for (let turns = startsAfter; turns > 0; turns -= 1) await nextTurn();
                const reception = await beginReception(volume, { creator, objectId });
                await reception.store(Readable.from([body]), { wrote: async () => {}, release: () => {} });
                const path = join(dir, creator, objectId);
                expect(disk.durable.has(join(dir, creator))).toBe(true);
                expect(disk.durable.has(path)).toBe(true);
                const inode = disk.current.get(path);
                expect(inode !== 'directory' && inode?.durable?.equals(body)).toBe(true);
              }),
            );
          } finally {
            await rm(dir, { recursive: true, force: true });
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});
