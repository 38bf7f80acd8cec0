import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { createDirectorySync, type DirectorySync } from './directory-sync.ts';
import { systemFiles, type VolumeFiles } from './volume-files.ts';

/** Layout of volumes that this program reads and writes (metadata.md §14.2). */
const LAYOUT = 1;

const identitySchema = z.object({ storageId: z.string(), incarnation: z.uuid(), layout: z.number().int() });
export type Identity = z.infer<typeof identitySchema>;

export interface Capacity {
  readonly totalBytes: number;
  readonly availBytes: number;
  readonly inodesFree: number;
}

/** One node's disk space: objects under `<creator>/<object id>`, uploads in progress under `tmp/`. */
export interface Volume {
  readonly dir: string;
  readonly identity: Identity;
  readonly files: VolumeFiles;
  readonly directories: DirectorySync;
  temporaryPath(): string;
  objectPath(creator: string, objectId: string): string;
  /** The directory of a creator's objects, durable in its parent. */
  creatorDirectory(creator: string): Promise<string>;
  /** Asks the file system; throws where it does not answer. */
  capacity(): Promise<Capacity>;
  /** Why nothing is written any more, until a restart: a sync that failed may have lost dirty pages for good. */
  outOfService(): string | undefined;
}

/**
 * Opens the volume of node `storageId` and removes uploads that a dead process left in `tmp/`: a node owns its volume
 * alone, so none of them is in progress. An empty directory becomes a volume with a fresh incarnation. Throws MantaError
 * `ForeignVolume` for the volume of another node, of another layout, or for a directory that holds other things.
 */
export async function openVolume(dir: string, storageId: string, system: VolumeFiles = systemFiles): Promise<Volume> {
  let outOfService: string | undefined;
  // Once a sync has failed the kernel may have dropped the dirty pages, and a second one would report false success.
  const files = watchSyncs(system, what => {
    outOfService ??= `${what} could not be synced`;
  });
  const directories = createDirectorySync(files.syncDirectory);
  await mkdir(dir, { recursive: true });
  const identity = (await readIdentity(dir)) ?? (await createIdentity(dir, storageId, system));
  if (identity.storageId !== storageId) {
    throw new MantaError('ForeignVolume', `${dir} is the volume of ${identity.storageId}, not of ${storageId}`);
  }
  if (identity.layout !== LAYOUT) {
    throw new MantaError('ForeignVolume', `${dir} has layout ${identity.layout}; this program knows layout ${LAYOUT}`);
  }
  const temporaries = join(dir, 'tmp');
  await rm(temporaries, { recursive: true, force: true });
  await mkdir(temporaries);
  await directories.sync(dir);

  const creators = new Map<string, Promise<string>>();
  return {
    dir,
    identity,
    files,
    directories,
    temporaryPath: () => join(temporaries, randomUUID()),
    objectPath: (creator, objectId) => join(dir, creator, objectId),
    creatorDirectory(creator) {
      let made = creators.get(creator);
      if (made === undefined) {
        // Synced once by every process, because a predecessor may have died between making and syncing it.
        made = makeDirectory(dir, creator, files, directories);
        if (creators.size >= MAX_KNOWN_CREATORS) creators.clear();
        creators.set(creator, made);
        made.catch(() => creators.delete(creator));
      }
      return made;
    },
    async capacity() {
      const found = await statfs(dir);
      return {
        totalBytes: found.blocks * found.bsize,
        availBytes: found.bavail * found.bsize,
        inodesFree: found.ffree,
      };
    },
    outOfService: () => outOfService,
  };
}

const MAX_KNOWN_CREATORS = 100_000;

function watchSyncs(files: VolumeFiles, onFailure: (what: string) => void): VolumeFiles {
  const watch = async (what: string, sync: Promise<void>) => {
    try {
      await sync;
    } catch (error) {
      onFailure(what);
      throw error;
    }
  };
  return {
    ...files,
    syncFile: file => watch('a file', files.syncFile(file)),
    syncDirectory: path => watch('a directory', files.syncDirectory(path)),
  };
}

async function makeDirectory(
  parent: string,
  name: string,
  files: VolumeFiles,
  directories: DirectorySync,
): Promise<string> {
  const path = join(parent, name);
  await files.makeDirectory(path);
  await directories.sync(parent);
  return path;
}

async function readIdentity(dir: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(join(dir, 'identity.json'), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return identitySchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new MantaError('ForeignVolume', `${join(dir, 'identity.json')} is not a volume's identity`, { cause });
  }
}

async function createIdentity(dir: string, storageId: string, files: VolumeFiles): Promise<Identity> {
  const unfinished = join(dir, 'identity.json.new');
  await rm(unfinished, { force: true });
  const strangers = (await readdir(dir)).filter(name => name !== 'lost+found');
  if (strangers.length > 0) {
    throw new MantaError('ForeignVolume', `${dir} holds ${strangers[0]} but no identity.json: not an empty volume`);
  }
  const identity = { storageId, incarnation: randomUUID(), layout: LAYOUT };
  const file = await files.create(unfinished);
  try {
    await file.writeFile(`${JSON.stringify(identity)}\n`);
    await files.syncFile(file);
  } finally {
    await file.close();
  }
  await files.rename(unfinished, join(dir, 'identity.json'));
  await files.syncDirectory(dir);
  await syncParents(dir, files);
  return identity;
}

/** A volume in a new directory, perhaps in new directories, is as durable as these are. */
async function syncParents(dir: string, files: VolumeFiles): Promise<void> {
  const { dev } = await stat(dir);
  let path = resolve(dir);
  while (path !== dirname(path)) {
    path = dirname(path);
    if ((await stat(path)).dev !== dev) return;
    try {
      await files.syncDirectory(path);
    } catch (error) {
      // What this process may not even read it has not made.
      if (codeOf(error) !== 'EACCES') throw error;
    }
  }
}
