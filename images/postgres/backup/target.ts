import type { Readable } from 'node:stream';
import { Readable as ReadableStream } from 'node:stream';
import { json } from 'node:stream/consumers';
import type { z } from 'zod';

/** What is in one directory of a target. */
export interface Stored {
  readonly name: string;
  /** Of a directory: 0. */
  readonly sizeBytes: number;
  /** Epoch milliseconds by the target's clock. */
  readonly modifiedAt: number;
}

/**
 * Where the backups of one shard are kept (operations.md §4.10). Paths have slashes and never leave the target. Methods
 * reject with the target's own errors, and with the signal's reason on abort.
 */
export interface BackupTarget {
  /** For messages. */
  readonly url: string;
  /**
   * Stores the whole content durably, or nothing; what has the name already is replaced. It has `maxBytes` at most, so that
   * a target can tell beforehand where there is room.
   */
  put(path: string, content: Readable, limits: { readonly maxBytes: number }, signal: AbortSignal): Promise<void>;
  /** Undefined: there is nothing of that name, for certain. */
  get(path: string, signal: AbortSignal): Promise<Readable | undefined>;
  /** Empty where there is no such directory. */
  list(directory: string, signal: AbortSignal): Promise<readonly Stored[]>;
  /** Removes a file or an empty directory; one that is not there is fine. */
  remove(path: string, signal: AbortSignal): Promise<void>;
}

/** Reads a small document. Undefined: there is none. Throws what the schema says of any other. */
export async function getJson<Schema extends z.ZodType>(
  target: BackupTarget,
  path: string,
  schema: Schema,
  signal: AbortSignal,
): Promise<z.output<Schema> | undefined> {
  const content = await target.get(path, signal);
  return content === undefined ? undefined : schema.parse(await json(content));
}

export function putJson(target: BackupTarget, path: string, value: unknown, signal: AbortSignal): Promise<void> {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  return target.put(path, ReadableStream.from([text]), { maxBytes: Buffer.byteLength(text) }, signal);
}
