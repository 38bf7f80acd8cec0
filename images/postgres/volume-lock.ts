import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../../lib/errors/manta-error.ts';

/** Where the lock of a data volume is (replication.md §11.2). */
export function lockFileOf(dataDir: string): string {
  return join(dataDir, 'sitter', 'lock');
}

/**
 * Throws MantaError `VolumeNotLocked` unless this process was started by `flock --no-fork` on the lock file, which leaves
 * it the locked file open (replication.md §11.10). Without the lock a second sitter could start a server on the volume.
 */
export function requireVolumeLock(dataDir: string): void {
  const lockFile = lockFileOf(dataDir);
  if (!openFiles().includes(pathOf(lockFile))) {
    throw new MantaError(
      'VolumeNotLocked',
      `the volume is not locked: start with flock --nonblock --no-fork ${lockFile} node images/postgres/main.ts`,
    );
  }
}

function openFiles(): readonly string[] {
  const dir = '/proc/self/fd';
  return readdirSync(dir).flatMap(fd => {
    try {
      return [readlinkSync(join(dir, fd))];
    } catch {
      // The descriptor of this very listing.
      return [];
    }
  });
}

function pathOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
