import pg from 'pg';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Passwords } from './passwords.ts';
import { CLIENT_ROLES } from './roles.ts';
import { type Session, type SocketAddress, withSession } from './session.ts';

const CONNECT = 'manta_app, manta_migrate, manta_move, manta_dump';
/** A cancel lets a commit through that no standby has (replication.md §11.6): only the sitter signals backends. */
const SIGNALS = 'pg_catalog.pg_cancel_backend(int), pg_catalog.pg_terminate_backend(int, bigint)';

/** Which of some databases are not there, or not finished: one query. */
export async function missingDatabases(session: Session, databases: readonly string[]): Promise<readonly string[]> {
  const settled = await session.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database WHERE shobj_description(oid, 'pg_database') = 'manta'`,
  );
  return databases.filter(name => !settled.some(row => row.name === name));
}

/**
 * Creates databases (metadata.md §12.18): UTF8, collation C, from template0, and nobody's but the client roles'. One that
 * was created but whose rights were not settled is finished.
 */
export async function bringDatabasesAbout(
  session: Session,
  address: SocketAddress,
  missing: readonly string[],
): Promise<void> {
  for (const database of missing) {
    const name = pg.escapeIdentifier(database);
    const begun = await session.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (begun.length === 0)
      await session.query(
        `CREATE DATABASE ${name} OWNER manta_owner ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
      );
    await session.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
    await session.query(`GRANT CONNECT ON DATABASE ${name} TO ${CONNECT}`);
    await withSession(address, { name: 'setup', deadlineMs: 10_000, database, writes: true }, inside =>
      inside.query(`REVOKE EXECUTE ON FUNCTION ${SIGNALS} FROM PUBLIC`),
    );
    // Last: the mark that all of it is done.
    await session.query(`COMMENT ON DATABASE ${name} IS 'manta'`);
  }
}

/** How a client reaches this server. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

const LOGIN_WITHIN_MS = 1_000;

/**
 * One login over TCP as an application role, as a client would. Rejects with MantaError `LoginRefused`, or
 * `PasswordMissing` where no application role has a password.
 */
export async function tryLogin(passwords: Passwords, address: ClientAddress, database: string): Promise<void> {
  for (const user of CLIENT_ROLES) {
    const password = await passwords.of(user);
    if (password === undefined) continue;
    const client = new pg.Client({
      host: address.host,
      port: address.port,
      user,
      password,
      database,
      // The certificate names the shard's addresses; this is the way to oneself.
      ...(address.tls ? { ssl: { rejectUnauthorized: false } } : {}),
      connectionTimeoutMillis: LOGIN_WITHIN_MS,
      query_timeout: LOGIN_WITHIN_MS,
      application_name: 'sitter login',
    });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query('SELECT 1');
      return;
    } catch (cause) {
      throw new MantaError('LoginRefused', `${user} cannot log in: ${(cause as Error).message}`, { cause });
    } finally {
      void client.end().catch(() => {});
    }
  }
  throw new MantaError('PasswordMissing', 'no application role has a password');
}
