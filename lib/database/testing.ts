import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { controlMigrations, indexMigrations } from '../metadata/migrations.ts';
import { type MigrationSet, migrate } from './migrate.ts';
import type { ConnectionTarget } from './pool.ts';
import { dropDatabase, prepareDatabases } from './prepare.ts';

/** A region's databases for one test file: two index shards, without ranges, and control; all migrated, all empty. */
export interface TestDatabases {
  /** As the role that webapi uses. */
  readonly index: readonly [ConnectionTarget, ConnectionTarget];
  readonly control: ConnectionTarget;
  /** The same databases as superuser, for what a test looks at or breaks. */
  readonly superuser: {
    readonly index: readonly [ConnectionTarget, ConnectionTarget];
    readonly control: ConnectionTarget;
  };
  /** Removes the databases, with whatever is still connected to them. */
  drop(): Promise<void>;
}

const passwords = { manta_migrate: 'test-migrate', manta_webapi: 'test-webapi' };

/**
 * Where the tests' PostgreSQL listens, as superuser: what Jest's global set-up started and named in
 * MANTA_TEST_POSTGRES (`{"host","port","user","password"}`).
 */
export function testServer(): pg.ClientConfig {
  const text = process.env.MANTA_TEST_POSTGRES;
  if (text === undefined) throw new Error('MANTA_TEST_POSTGRES is not set: run the tests through `npm test`');
  return JSON.parse(text) as pg.ClientConfig;
}

const superuser: ConnectionTarget = () => ({ ...testServer(), database: 'postgres' });
const logger = pino({ level: 'silent' });

/** Creates throw-away databases; `control` names further libraries' migrations of the control database. */
export async function createTestDatabases(options: { control?: readonly MigrationSet[] } = {}): Promise<TestDatabases> {
  const prefix = `test_${randomBytes(6).toString('hex')}`;
  const names = { index: [`${prefix}_index_1`, `${prefix}_index_2`], control: `${prefix}_control` } as const;
  const all = [...names.index, names.control];
  const index = await template([indexMigrations]);
  const control = await template([controlMigrations, ...(options.control ?? [])]);
  for (const name of all) {
    const from = name === names.control ? control : index;
    await queryOnce(superuser, `CREATE DATABASE ${name} OWNER manta_owner TEMPLATE ${from}`);
  }
  await prepareDatabases(superuser, { databases: all, passwords });
  return {
    index: [as('manta_webapi', names.index[0]), as('manta_webapi', names.index[1])],
    control: as('manta_webapi', names.control),
    superuser: {
      index: [
        () => ({ ...testServer(), database: names.index[0] }),
        () => ({ ...testServer(), database: names.index[1] }),
      ],
      control: () => ({ ...testServer(), database: names.control }),
    },
    drop: async () => {
      for (const name of all) await dropDatabase(superuser, name);
    },
  };
}

function as(user: keyof typeof passwords, database: string): ConnectionTarget {
  return () => ({ ...testServer(), user, password: passwords[user], database });
}

/** A migrated, empty database to copy, made by whichever test file needs it first; named for what its files say. */
async function template(sets: readonly MigrationSet[]): Promise<string> {
  const name = `test_template_${await digestOf(sets)}`;
  const client = new pg.Client(superuser());
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock(hashtext('test_template'))");
    const known = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (known.rowCount === 0) {
      const unfinished = `${name}_unfinished`;
      await dropDatabase(superuser, unfinished);
      await prepareDatabases(superuser, { databases: [unfinished], passwords });
      for (const set of sets) await migrate({ logger }, as('manta_migrate', unfinished), set, 'test');
      await client.query(`ALTER DATABASE ${unfinished} RENAME TO ${name}`);
    }
  } finally {
    await client.end();
  }
  return name;
}

async function digestOf(sets: readonly MigrationSet[]): Promise<string> {
  const hash = createHash('sha256');
  for (const set of sets) {
    for (const file of (await readdir(set.directory)).sort()) {
      hash.update(`${set.name}/${file}\n`).update(await readFile(join(set.directory, file)));
    }
  }
  return hash.digest('hex').slice(0, 12);
}

/** One statement on a connection of its own. */
export async function queryOnce<Row extends pg.QueryResultRow>(
  target: ConnectionTarget,
  text: string,
  params: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client(target());
  await client.connect();
  try {
    return (await client.query<Row>(text, [...params])).rows;
  } finally {
    await client.end();
  }
}
