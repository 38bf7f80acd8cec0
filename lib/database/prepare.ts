import pg from 'pg';
import type { ConnectionTarget } from './pool.ts';

/** Roles and databases of one PostgreSQL server. metadata.md §12.18. */
export interface ServerLayout {
  readonly databases: readonly string[];
  /** Passwords of the roles that log in. */
  readonly passwords: { readonly manta_migrate: string; readonly manta_webapi: string };
}

const K3 = 1296957443;

/**
 * Creates what is missing of roles and databases, sets the passwords, and changes nothing else. `superuser` connects to
 * the database `postgres`. May be called by several processes at once.
 */
export async function prepareDatabases(superuser: ConnectionTarget, layout: ServerLayout): Promise<void> {
  await withClient({ ...superuser(), database: 'postgres' }, async client => {
    await client.query(`SELECT pg_advisory_lock(${K3}, 0)`);
    await createRole(client, 'manta_owner', 'NOLOGIN');
    await createRole(client, 'manta_migrate', `LOGIN PASSWORD ${client.escapeLiteral(layout.passwords.manta_migrate)}`);
    await createRole(client, 'manta_webapi', `LOGIN PASSWORD ${client.escapeLiteral(layout.passwords.manta_webapi)}`);
    await client.query('GRANT manta_owner TO manta_migrate');
    for (const database of layout.databases) await createDatabase(client, database);
  });
}

async function createRole(client: pg.Client, role: string, attributes: string): Promise<void> {
  const known = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
  await client.query(`${known.rowCount === 0 ? 'CREATE' : 'ALTER'} ROLE ${role} ${attributes}`);
}

async function createDatabase(client: pg.Client, database: string): Promise<void> {
  const name = client.escapeIdentifier(database);
  const known = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
  if (known.rowCount === 0) {
    await client.query(
      `CREATE DATABASE ${name} OWNER manta_owner ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
    );
  }
  await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
  await client.query(`GRANT CONNECT ON DATABASE ${name} TO manta_migrate, manta_webapi`);
}

/** Removes a database together with the connections to it. */
export async function dropDatabase(superuser: ConnectionTarget, database: string): Promise<void> {
  await withClient({ ...superuser(), database: 'postgres' }, async client => {
    await client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(database)} WITH (FORCE)`);
  });
}

async function withClient(config: pg.ClientConfig, body: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(config);
  await client.connect();
  try {
    await body(client);
  } finally {
    await client.end();
  }
}
