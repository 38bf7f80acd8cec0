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
        const stored = await writeBody(file, body, claim);
        checkBody(stored, expected);
        await syncFile(volume, file);
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
async function writeBody(file: FileHandle, body: Readable, claim: Claim): Promise<StoredObject> {
  const hash = createHash('md5');
  let bytes = 0;
  let batch: Buffer[] = [];
  let batchBytes = 0;
  let writing: Promise<void> = Promise.resolve();
  const flush = async () => {
    await writing;
    writing = writeAll(file, batch, claim);
    // Awaited at the next flush; until then nobody else may see the rejection.
    writing.catch(() => {});
    batch = [];
    batchBytes = 0;
  };
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      batch.push(chunk);
      batchBytes += chunk.length;
      if (batchBytes >= BATCH_BYTES) await flush();
    }
    if (batchBytes > 0) await flush();
  } finally {
    // The file must not be closed under a write.
    await writing.catch(() => {});
  }
  await writing;
  return { bytes, md5: hash.digest('base64') };
}

async function writeAll(file: FileHandle, batch: readonly Buffer[], claim: Claim): Promise<void> {
  let rest = batch;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest as Buffer[]);
    await claim.wrote(bytesWritten);
    rest = withoutFirst(rest, bytesWritten);
  }
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

/** After a failed sync the kernel may have dropped the dirty pages, and a second one would report false success. */
async function syncFile(volume: Volume, file: FileHandle): Promise<void> {
  try {
    await volume.files.syncFile(file);
  } catch (cause) {
    volume.takeOutOfService('a file could not be synced');
    throw cause;
  }
}

async function publish(volume: Volume, temporary: string, { creator, objectId }: ExpectedObject): Promise<void> {
  await volume.creatorDirectory(creator);
  const path = volume.objectPath(creator, objectId);
  await volume.files.rename(temporary, path);
  try {
    await volume.directories.sync(dirname(path));
  } catch (cause) {
    volume.takeOutOfService('a directory could not be synced');
    throw cause;
  }
}

function storageError(error: unknown): unknown {
  if (error instanceof MantaError) return error;
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MantaError('NotEnoughSpace', 'the volume is full', { cause: error });
  }
  return new MantaError('InternalError', 'the object could not be stored', { cause: error });
}
