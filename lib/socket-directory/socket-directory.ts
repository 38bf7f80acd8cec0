import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The name of a unix socket may have about this many bytes everywhere: Linux allows 107, macOS 103. */
const SOCKET_PATH_BYTES = 100;

/**
 * A directory (mode 0700) for a unix socket called `socketName`: `dir` itself, or one below the system's temporary
 * directory when the path would become too long. The same `dir` gives the same place every time, unless somebody else
 * of this machine (other than `owner`) has taken it. metadata.md §17.
 */
export function makeSocketDirectory(dir: string, socketName: string, owner = process.getuid?.() ?? 0): string {
  if (Buffer.byteLength(join(dir, socketName)) <= SOCKET_PATH_BYTES) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return dir;
  }
  const elsewhere = join(tmpdir(), `manta-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`);
  try {
    mkdirSync(elsewhere, { mode: 0o700 });
    return elsewhere;
  } catch {
    return isPrivate(elsewhere, owner) ? elsewhere : mkdtempSync(join(tmpdir(), 'manta-'));
  }
}

/** Removes what `makeSocketDirectory` made for `dir` outside of it. */
export function removeSocketDirectory(socketDir: string, dir: string): void {
  if (socketDir !== dir && dirname(socketDir) === tmpdir()) rmSync(socketDir, { recursive: true, force: true });
}

function isPrivate(path: string, owner: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  const owners = [owner, process.getuid?.() ?? 0];
  return found?.isDirectory() === true && (found.mode & 0o077) === 0 && owners.includes(found.uid);
}
