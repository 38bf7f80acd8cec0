import type { Logger } from 'pino';
import { authMigrations } from '../../lib/auth/migrations.ts';
import { migrate } from '../../lib/database/migrate.ts';
import { type ConnectionTarget, createPool, type Pool, poolDefaults } from '../../lib/database/pool.ts';
import { prepareDatabases } from '../../lib/database/prepare.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createFirstRing } from '../../lib/metadata/first-ring.ts';
import { controlMigrations, indexMigrations } from '../../lib/metadata/migrations.ts';
import type { PostgresConnection } from '../../lib/postgres-process/postgres-process.ts';
import type { RegionFile } from './region-file.ts';

/** Connections to the databases of the region, as the role of webapi. */
export interface RegionDatabases {
  readonly shards: readonly { readonly shard: number; readonly connection: ConnectionTarget }[];
  readonly control: ConnectionTarget;
}

const INDEX = ['index_1', 'index_2'] as const;
const CONTROL = 'control';

/**
 * Brings roles, databases, schemas and the first ring about, whatever of them is there already. Two index databases are
 * two shards, so that routing and directories across shards are at work from the first request on. metadata.md §12.18,
 * §17.
 */
export async function setUpDatabases(
  deps: { logger: Logger; clock: Clock },
  server: PostgresConnection,
  passwords: RegionFile['passwords'],
): Promise<RegionDatabases> {
  const as = (user: keyof typeof passwords, database: string) => () => ({
    host: server.host,
    port: server.port,
    user,
    password: passwords[user],
    database,
  });
  await prepareDatabases(() => ({ ...server }), { databases: [...INDEX, CONTROL], passwords });
  await Promise.all([
    ...INDEX.map(name => migrate(deps, as('manta_migrate', name), indexMigrations, 'coal')),
    migrate(deps, as('manta_migrate', CONTROL), controlMigrations, 'coal').then(() =>
      migrate(deps, as('manta_migrate', CONTROL), authMigrations, 'coal'),
    ),
  ]);
  const databases: RegionDatabases = {
    shards: INDEX.map((name, i) => ({ shard: i + 1, connection: as('manta_webapi', name) })),
    control: as('manta_webapi', CONTROL),
  };
  await createRing(deps, databases);
  return databases;
}

async function createRing(deps: { logger: Logger; clock: Clock }, databases: RegionDatabases): Promise<void> {
  const opened: Pool[] = [];
  const open = (target: ConnectionTarget, name: string) => {
    const pool = createPool(deps, target, { ...poolDefaults, name, size: 1 });
    opened.push(pool);
    return pool;
  };
  try {
    const shards = databases.shards.map(({ shard, connection }) => ({
      shard,
      pool: open(connection, `ring-${shard}`),
    }));
    await createFirstRing(open(databases.control, 'ring-control'), shards);
  } finally {
    await Promise.all(opened.map(pool => pool.close()));
  }
}
