import { randomBytes } from 'node:crypto';
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

/** Creates throw-away databases; `control` names further libraries' migrations of the control database. */
export async function createTestDatabases(options: { control?: readonly MigrationSet[] } = {}): Promise<TestDatabases> {
  const server = testServer();
  const prefix = `test_${randomBytes(6).toString('hex')}`;
  const names = { index: [`${prefix}_index_1`, `${prefix}_index_2`], control: `${prefix}_control` } as const;
  const all = [...names.index, names.control];
  const superuser = () => server;
  await prepareDatabases(superuser, { databases: all, passwords });

  const logger = pino({ level: 'silent' });
  const as = (user: keyof typeof passwords, database: string) => () => ({
    ...server,
    user,
    password: passwords[user],
    database,
  });
  await Promise.all([
    ...names.index.map(name => migrate({ logger }, as('manta_migrate', name), indexMigrations, 'test')),
    (async () => {
      for (const set of [controlMigrations, ...(options.control ?? [])]) {
        await migrate({ logger }, as('manta_migrate', names.control), set, 'test');
      }
    })(),
  ]);

  const admin = (database: string) => () => ({ ...server, database });
  return {
    index: [as('manta_webapi', names.index[0]), as('manta_webapi', names.index[1])],
    control: as('manta_webapi', names.control),
    superuser: { index: [admin(names.index[0]), admin(names.index[1])], control: admin(names.control) },
    drop: async () => {
      await Promise.all(all.map(name => dropDatabase(superuser, name)));
    },
  };
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
