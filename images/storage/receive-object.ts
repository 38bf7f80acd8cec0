import { createHash } from 'node:crypto';
import { type FileHandle, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import type { Claim } from './space.ts';
import type { Volume } from './volume.ts';

/** What arrived and is durable. */
export interface StoredObject {
  readonly bytes: number;
  /** base64 */
  readonly md5: string;
}

export interface ExpectedObject {
  readonly creator: string;
  readonly objectId: string;
  /** Declared length; a body of another length is refused. */
  readonly bytes?: number;
  /** Declared digest, base64; a body with another one is refused. */
  readonly md5?: string;
}

/** A temporary file on the volume, ready for the body. */
export interface Reception {
  /**
   * Takes the body and makes it durable under its final name, in the order of metadata.md §14.2: whatever moment the
   * power fails, the object is either not visible or complete, and complete once this has resolved. Throws MantaError
   * `ContentMD5Mismatch`, `BadRequest` (length), `NotEnoughSpace`, `InternalError`; then no trace is left.
   */
  store(body: Readable, claim: Claim): Promise<StoredObject>;
  /** Removes the temporary file of a reception that never got a body. */
  discard(): Promise<void>;
}

/** Body bytes collected before they are written with one call. */
const BATCH_BYTES = 1 << 20;
/** Body bytes after which a sync is started while the next ones arrive. */
const SYNC_BYTES = 64 << 20;

/** Opens the temporary file. Throws MantaError `Unavailable` when the volume does not take it. */
export async function beginReception(volume: Volume, expected: ExpectedObject): Promise<Reception> {
  const temporary = volume.temporaryPath();
  let file: FileHandle;
  try {
    file = await volume.files.create(temporary);
  } catch (cause) {
    throw new MantaError('Unavailable', 'the volume takes no writes', { cause });
  }
  const discard = async () => {
    await file.close().catch(() => {});
    await rm(temporary, { force: true });
  };
  return {
    discard,
    async store(body, claim) {
      try {
        const stored = await writeBody(volume, file, body, claim);
        checkBody(stored, expected);
        await volume.files.syncFile(file);
        await file.close();
        await publish(volume, temporary, expected);
        return stored;
      } catch (error) {
        await discard();
        throw storageError(error);
      }
    },
  };
}

/** Writes while the next batch arrives, so that disk and network work at the same time; holds two batches at most. */
async function writeBody(volume: Volume, file: FileHandle, body: Readable, claim: Claim): Promise<StoredObject> {
  const hash = createHash('md5');
  const disk = createBodyFile(volume, file, claim);
  let bytes = 0;
  let batch: Buffer[] = [];
  let batchBytes = 0;
  const flush = async () => {
    const full = batch;
    batch = [];
    batchBytes = 0;
    await disk.write(full);
  };
  try {
    // Left whole on failure, because the answer travels over the same connection.
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      batch.push(chunk);
      batchBytes += chunk.length;
      if (batchBytes >= BATCH_BYTES) await flush();
    }
    if (batchBytes > 0) await flush();
  } finally {
    await disk.settle();
  }
  await disk.finish();
  return { bytes, md5: hash.digest('base64') };
}

/**
 * The file as the body flows in: one write and one sync at most are under way. Without the syncs in between, the last
 * one, for which webapi waits with a deadline, would have all of a large body to write.
 */
function createBodyFile(volume: Volume, file: FileHandle, claim: Claim) {
  let writing = Promise.resolve();
  let syncing = Promise.resolve();
  let unsynced = 0;
  const writeAndSync = async (batch: readonly Buffer[]) => {
    unsynced += await writeAll(file, batch, claim);
    if (unsynced < SYNC_BYTES) return;
    await syncing;
    unsynced = 0;
    syncing = volume.files.syncFile(file);
    syncing.catch(() => {});
  };
  return {
    /** Resolves when the batch before this one is written. */
    async write(batch: readonly Buffer[]): Promise<void> {
      await writing;
      writing = writeAndSync(batch);
      // Awaited at the next write; until then nobody else may see the rejection.
      writing.catch(() => {});
    },
    async finish(): Promise<void> {
      await writing;
      await syncing;
    },
    /** Resolves, whatever went wrong, when the file may be closed. */
    async settle(): Promise<void> {
      await writing.catch(() => {});
      await syncing.catch(() => {});
    },
  };
}

async function writeAll(file: FileHandle, batch: readonly Buffer[], claim: Claim): Promise<number> {
  let rest = batch;
  let total = 0;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest as Buffer[]);
    await claim.wrote(bytesWritten);
    total += bytesWritten;
    rest = withoutFirst(rest, bytesWritten);
  }
  return total;
}

function withoutFirst(batch: readonly Buffer[], bytes: number): readonly Buffer[] {
  let skip = bytes;
  const rest: Buffer[] = [];
  for (const buffer of batch) {
    if (skip < buffer.length) rest.push(skip > 0 ? buffer.subarray(skip) : buffer);
    skip = Math.max(0, skip - buffer.length);
  }
  return rest;
}

function checkBody(stored: StoredObject, expected: ExpectedObject): void {
  if (expected.bytes !== undefined && stored.bytes !== expected.bytes) {
    throw new MantaError('BadRequest', `expected ${expected.bytes} bytes, but received ${stored.bytes}`);
  }
  if (expected.md5 !== undefined && stored.md5 !== expected.md5) {
    throw new MantaError('ContentMD5Mismatch', `Content-MD5 expected ${expected.md5}, but was ${stored.md5}`);
  }
}

async function publish(volume: Volume, temporary: string, { creator, objectId }: ExpectedObject): Promise<void> {
  await volume.creatorDirectory(creator);
  const path = volume.objectPath(creator, objectId);
  await volume.files.rename(temporary, path);
  await volume.directories.sync(dirname(path));
}

function storageError(error: unknown): unknown {
  if (error instanceof MantaError) return error;
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MantaError('NotEnoughSpace', 'the volume is full', { cause: error });
  }
  return new MantaError('InternalError', 'the object could not be stored', { cause: error });
}
