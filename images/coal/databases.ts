import type { Logger } from 'pino';
import { authMigrations } from '../../lib/auth/migrations.ts';
import { migrate } from '../../lib/database/migrate.ts';
import type { DatabaseTarget } from '../../lib/database/moving-target.ts';
import { createPool, type Pool, poolDefaults } from '../../lib/database/pool.ts';
import type { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createFirstRing } from '../../lib/metadata/first-ring.ts';
import { controlMigrations, indexMigrations } from '../../lib/metadata/migrations.ts';
import type { RegionFile } from './region-file.ts';

/** Connections to the databases of the region, as the role of webapi. */
export interface RegionDatabases {
  readonly shards: readonly { readonly shard: number; readonly connection: DatabaseTarget }[];
  readonly control: DatabaseTarget;
}

const INDEX = ['index_1', 'index_2'] as const;
const CONTROL = 'control';

/** The names of a region's databases. */
export const REGION_DATABASES: readonly string[] = [CONTROL, ...INDEX];

/** A role of the region that programs log in with. */
export type RegionRole = keyof RegionFile['passwords'];

/** What the region's databases are on. */
export interface DatabaseHost {
  /** Creates what is missing of roles and databases. */
  prepare(databases: readonly string[]): Promise<void>;
  /** A database, as this role. */
  target(database: string, role: RegionRole): DatabaseTarget;
  /** Resolves when it has ended by itself and does not come back, with what to tell people. */
  readonly failed: Promise<MantaError>;
  /** For a process that ends at once: tells what would outlive it to end as well, and waits for nothing. */
  abandon(): void;
}

/**
 * Brings roles, databases, schemas and the first ring about, whatever of them is there already. Two index databases are
 * two shards, so that routing and directories across shards are at work from the first request on. metadata.md §12.18,
 * §17.
 */
export async function setUpDatabases(
  deps: { logger: Logger; clock: Clock },
  host: DatabaseHost,
): Promise<RegionDatabases> {
  await host.prepare(REGION_DATABASES);
  await Promise.all([
    ...INDEX.map(name => migrate(deps, host.target(name, 'manta_migrate'), indexMigrations, 'coal')),
    migrate(deps, host.target(CONTROL, 'manta_migrate'), controlMigrations, 'coal').then(() =>
      migrate(deps, host.target(CONTROL, 'manta_migrate'), authMigrations, 'coal'),
    ),
  ]);
  const databases: RegionDatabases = {
    shards: INDEX.map((name, i) => ({ shard: i + 1, connection: host.target(name, 'manta_webapi') })),
    control: host.target(CONTROL, 'manta_webapi'),
  };
  await createRing(deps, databases);
  return databases;
}

async function createRing(deps: { logger: Logger; clock: Clock }, databases: RegionDatabases): Promise<void> {
  const opened: Pool[] = [];
  const open = (target: DatabaseTarget, name: string) => {
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
