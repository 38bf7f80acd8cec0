import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { createDirectoryTarget } from './directory-target.ts';
import { createMantaTarget } from './manta-target.ts';
import type { BackupTarget } from './target.ts';

/** The key that backups in a Manta region are written and read with. */
export interface BackupKey {
  /** PEM; read whenever a target is opened. */
  readonly keyFile: string;
  /** A sub-user of the account that the address names. */
  readonly user?: string | undefined;
}

/**
 * The target that an address names: `file:///directory` or a path from the root; or a directory of a Manta region,
 * `http(s)://host:port/account/stor/directory`. Throws MantaError `BackupTargetUnknown` for any other, and where a key is
 * needed and there is none.
 */
export function openTarget(address: string, key?: BackupKey): BackupTarget {
  if (isAbsolute(address)) return createDirectoryTarget(address);
  if (address.startsWith('file:')) return createDirectoryTarget(fileURLToPath(address));
  if (!/^https?:\/\//.test(address) || !URL.canParse(address))
    throw new MantaError('BackupTargetUnknown', `not an address of backups: ${address}`);
  if (key === undefined) throw new MantaError('BackupTargetUnknown', `there is no key for ${address}`);
  return createMantaTarget(address, { user: key.user, privateKey: readFileSync(key.keyFile, 'utf8') });
}
