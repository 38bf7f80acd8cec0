import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';
import { syncDirectory } from '../pg/durable-file.ts';
import type { BackupTarget, Stored } from './target.ts';

/** Half-written files carry it, and are never listed. */
const TEMPORARY = '.temporary';

/**
 * A directory as a target: one that is mounted, or another disk. The directory itself must be there already: an unmounted
 * one must not be filled in its place. Otherwise MantaError `BackupTargetMissing`.
 */
export function createDirectoryTarget(root: string): BackupTarget {
  const at = (path: string) => {
    if (path.split('/').some(part => part === '..' || part === '.' || part === ''))
      throw new MantaError('InvalidParameter', `not a name in a backup: ${path}`);
    return join(root, path);
  };

  async function demandRoot(): Promise<void> {
    if ((await stat(root).catch(() => undefined))?.isDirectory() !== true)
      throw new MantaError('BackupTargetMissing', `${root} is no directory`);
  }

  /** Every new level is durable in the one above it. */
  async function makeDirectory(directory: string): Promise<void> {
    if ((await stat(directory).catch(() => undefined)) !== undefined) return;
    await makeDirectory(dirname(directory));
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await syncDirectory(dirname(directory));
  }

  return {
    url: `file://${root}`,
    async put(path, content, _, signal) {
      await demandRoot();
      const file = at(path);
      await makeDirectory(dirname(file));
      const temporary = `${file}.${randomBytes(4).toString('hex')}${TEMPORARY}`;
      try {
        await pipeline(content, createWriteStream(temporary, { mode: 0o600, flush: true }), { signal });
        await rename(temporary, file);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      await syncDirectory(dirname(file));
    },
    async get(path, signal) {
      await demandRoot();
      try {
        const file = await open(at(path), 'r');
        return createReadStream('', { fd: file, signal });
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
    async list(directory, signal) {
      await demandRoot();
      const found: Stored[] = [];
      for (const entry of await readdirOrNone(at(directory))) {
        signal.throwIfAborted();
        if (entry.endsWith(TEMPORARY)) continue;
        const facts = await stat(join(at(directory), entry)).catch(() => undefined);
        if (facts === undefined) continue;
        const sizeBytes = facts.isDirectory() ? 0 : facts.size;
        found.push({ name: entry, sizeBytes, modifiedAt: facts.mtimeMs });
      }
      return found;
    },
    async remove(path) {
      const file = at(path);
      const facts = await stat(file).catch(() => undefined);
      if (facts === undefined) return;
      if (facts.isDirectory()) await removeDirectory(file);
      else await rm(file, { force: true });
    },
  };
}

/** With what was left half-written in it. */
async function removeDirectory(directory: string): Promise<void> {
  for (const name of await readdirOrNone(directory)) {
    if (name.endsWith(TEMPORARY)) await rm(join(directory, name), { force: true });
  }
  await rmdir(directory);
}

async function readdirOrNone(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
