import { MantaError } from '../errors/manta-error.ts';
import type { Entry, ListedEntry, Rev, Uuid } from './types.ts';

/** What `entry_json` of the schema gives; absent values are left out. */
export interface EntryRow {
  readonly kind: 'o' | 'd';
  readonly owner: Uuid;
  readonly creator: Uuid;
  readonly rev: Rev;
  readonly mtime: number;
  readonly roles: readonly Uuid[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly objectId?: Uuid;
  readonly etag?: string;
  readonly size?: number;
  readonly md5?: string;
  readonly type?: string;
  readonly disposition?: string;
  readonly copies: readonly number[];
  readonly single: boolean;
  readonly childDir?: Uuid;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/** Throws MantaError `InternalError` when a size is beyond what a number can hold. */
export function entryFromRow(row: EntryRow): Entry {
  const common = {
    owner: row.owner,
    creator: row.creator,
    rev: row.rev,
    mtimeMs: row.mtime,
    roles: row.roles,
    headers: row.headers ?? NO_HEADERS,
  };
  if (row.kind === 'd') return { kind: 'directory', ...common, childDir: must(row.childDir) };
  return {
    kind: 'object',
    ...common,
    objectId: must(row.objectId),
    etag: must(row.etag),
    sizeBytes: safeSize(row.size),
    md5: must(row.md5),
    contentType: must(row.type),
    ...(row.disposition === undefined ? {} : { contentDisposition: row.disposition }),
    copies: row.copies,
    singlePath: row.single,
  };
}

/** What `list_item` of the schema gives. */
export type ListItem = readonly [
  name: string,
  kind: 'o' | 'd',
  mtimeMs: number,
  etag: string | null,
  size: number | null,
  type: string | null,
  disposition: string | null,
  md5: string | null,
  copies: number,
];

/** One line of a listing. */
export function listedFromItem(item: ListItem): ListedEntry {
  const [name, kind, mtimeMs, etag, size, type, disposition, md5, copies] = item;
  if (kind === 'd') return { kind: 'directory', name, mtimeMs };
  return {
    kind: 'object',
    name,
    mtimeMs,
    etag: must(etag),
    sizeBytes: safeSize(size),
    contentType: must(type),
    ...(disposition === null ? {} : { contentDisposition: disposition }),
    md5: must(md5),
    copies,
  };
}

/** The schema's checks promise a value where a kind needs one. */
function must<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new MantaError('InternalError', 'a stored entry lacks a field');
  return value;
}

function safeSize(value: number | null | undefined): number {
  if (!Number.isSafeInteger(value)) throw new MantaError('InternalError', 'a stored size is out of range');
  return value as number;
}

/** NULL in the database stands for no headers. */
export function headersForRow(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null {
  return Object.keys(headers).length === 0 ? null : headers;
}

/** base64 to the database's hexadecimal notation. */
export function md5ForRow(md5: string): string {
  return `\\x${Buffer.from(md5, 'base64').toString('hex')}`;
}
