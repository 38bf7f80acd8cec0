import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../../lib/errors/manta-error.ts';

/** Passwords of roles, from a directory with one file a role, as a Secret is mounted. */
export interface Passwords {
  /** As the file says now; undefined when there is none, or it is empty. */
  of(role: string): Promise<string | undefined>;
}

export function createPasswords(dir: string): Passwords {
  return {
    async of(role) {
      try {
        const password = (await readFile(join(dir, role), 'utf8')).replace(/\r?\n$/, '');
        return password === '' ? undefined : password;
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
  };
}
