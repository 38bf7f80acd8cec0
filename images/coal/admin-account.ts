import { readFileSync } from 'node:fs';
import type { AccountAdmin } from '../../lib/auth/account-admin.ts';
import { parsePublicKey } from '../../lib/auth/public-key.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { type AdminKey, loadAdminKey } from './keys.ts';

/** The account that every region on one machine has. */
export const ADMIN = 'admin';

/** The key of the account `admin`. */
export interface AdminIdentity {
  readonly publicKey: string;
  /** Colon-hex MD5 fingerprint. */
  readonly keyId: string;
  /** PEM, when the region made the pair; undefined when the key is the user's own. */
  readonly privateKey?: string | undefined;
}

/** Reads the key file given, or loads the generated pair. Throws MantaError `KeyFile` with what is wrong with the file. */
export async function loadAdminIdentity(dir: string, keyFile: string | undefined): Promise<AdminIdentity> {
  const { publicKey, privateKey }: Partial<AdminKey> & { publicKey: string } =
    keyFile === undefined ? await loadAdminKey(dir) : { publicKey: readPublicKeyFile(keyFile) };
  return { publicKey, keyId: parsePublicKey(publicKey).md5Fingerprint, privateKey };
}

/** The text of a public key file that has been found good. Throws MantaError `KeyFile`. */
export function readPublicKeyFile(path: string): string {
  try {
    const text = readFileSync(path, 'utf8');
    parsePublicKey(text);
    return text.trim();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MantaError('KeyFile', `${path} cannot be used as a public key: ${reason}`, { cause });
  }
}

/** Makes the account `admin` unless it is there, and gives it the key under a name of its own. metadata.md §17. */
export async function ensureAdmin(admin: AccountAdmin, identity: AdminIdentity): Promise<void> {
  const known = await admin.get(ADMIN);
  if (known === undefined)
    await admin.put(ADMIN, { email: 'admin@example.com', approved: true, groups: ['operators'] });
  if (known?.keys.some(key => key.md5Fingerprint === identity.keyId)) return;
  await admin.putKey(ADMIN, identity.privateKey === undefined ? 'given' : 'generated', identity.publicKey);
}
