import { createHash, randomUUID } from 'node:crypto';
import type { DirPath, Place, Rev, Uuid } from './types.ts';

/** Number of vnodes, fixed for the life of an installation (metadata.md §5.1). */
export const VNODES = 1 << 17;

/** Limits of stored names (http-api.md §1.2). */
export const LIMITS = { nameBytes: 1024, pathBytes: 4096, levels: 512 } as const;

/** The vnode of a hash key: a directory's path, or `object:` and an object id. The top 17 bits of its SHA-256. */
export function vnodeOf(hashKey: string): number {
  return sha256(hashKey).readUInt32BE(0) >>> 15;
}

/** SHA-256 of the UTF-8 text: what rows store in place of long paths. */
export function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

/**
 * The place of `/<owner>/<segments…>`; `segments` are decoded names, the first one the root (`stor`). At least one
 * segment. Undefined when a limit is exceeded, a name is empty, `.`, `..`, or holds NUL or a slash.
 */
export function placeOf(owner: Uuid, segments: readonly string[]): Place | undefined {
  if (segments.length === 0 || segments.length + 1 > LIMITS.levels) return undefined;
  for (const name of segments) {
    if (name === '' || name === '.' || name === '..' || /[\0/]/.test(name)) return undefined;
    if (Buffer.byteLength(name) > LIMITS.nameBytes) return undefined;
  }
  const path = `/${owner}/${segments.join('/')}`;
  if (Buffer.byteLength(path) > LIMITS.pathBytes) return undefined;
  return { dir: path.slice(0, path.lastIndexOf('/')) as DirPath, name: segments[segments.length - 1] as string };
}

/** The directory at `place`, as its children name it. */
export function childrenOf(place: Place): DirPath {
  return `${place.dir}/${place.name}` as DirPath;
}

/** The place of a directory that is not an account's root (`/<owner>`); the inverse of childrenOf. */
export function placeOfDirectory(dir: DirPath): Place {
  const cut = dir.lastIndexOf('/');
  return { dir: dir.slice(0, cut) as DirPath, name: dir.slice(cut + 1) };
}

/** True for `/<owner>/<root>`: directories that exist without an entry. */
export function isRootPlace(place: Place): boolean {
  return place.dir.lastIndexOf('/') === 0;
}

/** The account whose tree the directory is in. */
export function ownerOf(dir: DirPath): Uuid {
  const end = dir.indexOf('/', 1);
  return dir.slice(1, end === -1 ? undefined : end) as Uuid;
}

export function newUuid(): Uuid {
  return randomUUID() as Uuid;
}

export function newRev(): Rev {
  return randomUUID() as Rev;
}
