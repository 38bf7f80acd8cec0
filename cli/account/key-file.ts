import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parsePublicKey } from '../../lib/auth/public-key.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';

/** The text of a public key file that has been found good, and a name for the key. Throws MantaError `KeyFile`. */
export function readKeyFile(path: string): { readonly text: string; readonly name: string } {
  try {
    const text = readFileSync(path, 'utf8').trim();
    parsePublicKey(text);
    return { text, name: basename(path).replace(/\.pub$/, '') };
  } catch (cause) {
    throw new MantaError('KeyFile', `${path} cannot be used as a public key: ${(cause as Error).message}`, { cause });
  }
}
