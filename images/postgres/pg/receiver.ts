import { chownSync, writeFileSync } from 'node:fs';
import { chown, readFile, rename, writeFile } from 'node:fs/promises';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { passwordLine } from './conninfo.ts';
import type { Passwords } from './passwords.ts';
import type { Session } from './session.ts';

/** The file the WAL receiver, and nothing else, reads its password from: the means of the cut (replication.md §7.5). */
export interface ReceiverPassword {
  readonly path: string;
  state(): 'empty' | 'current';
  /** By rename: a process reads the whole of the one or of the other. It is in memory, so nothing is synced. */
  write(content: 'empty' | 'current'): Promise<void>;
}

const ROLE = 'manta_replication';

/**
 * It begins empty: a cut stays in force over the death of a sitter until a decision says otherwise. `current` rejects with
 * MantaError `PasswordMissing` when the role has no password.
 */
export function createReceiverPassword(
  deps: { passwords: Passwords; account: ServerAccount },
  path: string,
): ReceiverPassword {
  let state: 'empty' | 'current' = 'empty';
  writeFileSync(path, '', { mode: 0o600 });
  const { uid, gid } = deps.account;
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);

  async function textOf(content: 'empty' | 'current'): Promise<string> {
    if (content === 'empty') return '';
    const password = await deps.passwords.of(ROLE);
    if (password === undefined) throw new MantaError('PasswordMissing', `there is no password of ${ROLE}`);
    return passwordLine(ROLE, password);
  }

  return {
    path,
    state: () => state,
    async write(content) {
      const text = await textOf(content);
      if (content === state && (await readFile(path, 'utf8').catch(() => undefined)) === text) return;
      const temporary = `${path}.new`;
      await writeFile(temporary, text, { mode: 0o600 });
      // libpq uses a password file only if nobody else may read it, and the server's account must.
      if (uid !== undefined && gid !== undefined) await chown(temporary, uid, gid);
      await rename(temporary, path);
      state = content;
    },
  };
}

/**
 * Processes that are receivers by the server's own list, which a receiver enters before it reads its password.
 * `pg_stat_wal_receiver` would show none while one connects.
 */
export async function listReceivers(session: Session): Promise<readonly { pid: number; startedAt: string }[]> {
  return session.query<{ pid: number; startedAt: string }>(
    `SELECT pid, backend_start::text AS "startedAt" FROM pg_stat_activity WHERE backend_type = 'walreceiver'`,
  );
}
