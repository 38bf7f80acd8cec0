import { chownSync } from 'node:fs';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import type { Binaries } from '../pg/binaries.ts';
import { conninfo, replicationConninfo } from '../pg/conninfo.ts';
import type { Passwords } from '../pg/passwords.ts';
import { withPasswordFile } from '../pg/seed.ts';
import type { SocketAddress } from '../pg/session.ts';
import type { Endpoint } from '../server.ts';

/** What making backups needs to know of the server they are made of. */
export interface BackupSite {
  readonly binaries: Binaries;
  readonly account: ServerAccount;
  readonly passwords: Passwords;
  readonly address: SocketAddress;
  /** Where the server itself listens. */
  readonly endpoint: Endpoint;
  readonly tls?: unknown;
  readonly dataDir: string;
  readonly runDir: string;
}

/**
 * The connection string of a client of the server itself, with a password file of its own while `body` runs. Its name is
 * no peer's: a synchronous standby is told by its name alone (replication.md §11.3).
 */
export function withOwnServer<Value>(
  site: BackupSite,
  purpose: 'backup' | 'archive',
  body: (connection: string) => Promise<Value>,
): Promise<Value> {
  const { account, passwords, runDir, endpoint, binaries, tls } = site;
  return withPasswordFile({ account, passwords }, runDir, purpose, passfile =>
    body(
      conninfo({
        ...replicationConninfo(endpoint, { major: binaries.major, tls }),
        application_name: `manta_${purpose}`,
        passfile,
      }),
    ),
  );
}

/** Gives one file to the server's account. */
export function own({ uid, gid }: ServerAccount, path: string): void {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}
