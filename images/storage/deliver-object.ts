import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import type { Delivery } from '../../lib/region-token/region-token.ts';
import type { Volume } from './volume.ts';

const READ_BYTES = 256 * 1024;

/**
 * Sends what the grant says (metadata.md §14.7): its status, its headers, this range, and the length. Nothing is sent
 * before the first bytes were read, so that a damaged copy is an error the caller can turn to another copy for. Throws
 * MantaError `ObjectNotFound`, `SizeMismatch` (another length than the entry's), `InternalError`; after the headers were sent a failure
 * cuts the connection.
 */
export async function deliverObject(
  volume: Volume,
  object: { readonly creator: string; readonly objectId: string },
  delivery: Delivery,
  response: ServerResponse,
): Promise<void> {
  const file = await openObject(volume, object);
  try {
    const { size } = await file.stat();
    if (size !== delivery.sizeBytes) {
      throw new MantaError('SizeMismatch', `the copy has ${size} bytes, the object ${delivery.sizeBytes}`);
    }
    const [first, last] = delivery.range ?? [0, size - 1];
    if (last >= size || first > last) throw new MantaError('BadRequest', 'the range is outside the object');
    const body = file.createReadStream({ start: first, end: last, highWaterMark: READ_BYTES, autoClose: false });
    await once(body, 'readable');
    response.writeHead(delivery.status, { ...delivery.headers, 'content-length': last - first + 1 });
    await pipeline(body, response);
  } finally {
    await file.close().catch(() => {});
  }
}

/** Length and digest, the latter from the bytes as they are on disk now. Throws MantaError `ObjectNotFound`. */
export async function describeObject(
  volume: Volume,
  object: { readonly creator: string; readonly objectId: string },
): Promise<{ readonly bytes: number; readonly md5: string }> {
  const file = await openObject(volume, object);
  try {
    const hash = createHash('md5');
    const body = file.createReadStream({ highWaterMark: READ_BYTES, autoClose: false });
    await pipeline(body, hash);
    return { bytes: body.bytesRead, md5: hash.digest('base64') };
  } finally {
    await file.close().catch(() => {});
  }
}

async function openObject(volume: Volume, object: { creator: string; objectId: string }): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(volume.objectPath(object.creator, object.objectId), 'r');
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') throw new MantaError('ObjectNotFound', 'no such object on this node', { cause });
    throw new MantaError('InternalError', 'the object cannot be read', { cause });
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new MantaError('ObjectNotFound', 'no such object on this node');
}
