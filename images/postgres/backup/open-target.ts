import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { createDirectoryTarget } from './directory-target.ts';
import type { BackupTarget } from './target.ts';

/**
 * The target that an address names: `file:///directory`, or a path from the root. Throws MantaError
 * `BackupTargetUnknown` for any other.
 */
export function openTarget(address: string): BackupTarget {
  if (isAbsolute(address)) return createDirectoryTarget(address);
  if (address.startsWith('file:')) return createDirectoryTarget(fileURLToPath(address));
  throw new MantaError('BackupTargetUnknown', `not an address of backups: ${address}`);
}
