import { pino } from 'pino';
import { createPool, type Pool, poolDefaults } from '../database/pool.ts';
import { createTestDatabases, queryOnce, type TestDatabases } from '../database/testing.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { createFirstRing } from './first-ring.ts';
import { createMetadata, type MetadataSettings } from './metadata.ts';
import { newUuid, placeOf } from './path.ts';
import type { DirectoryAttributes, Metadata, NewObject, Place, Uuid } from './types.ts';

/** A namespace on throw-away databases, for the tests of any directory. */
export interface TestNamespace {
  readonly databases: TestDatabases;
  readonly metadata: Metadata;
  /** Another router over the same shards, as a second process would have. Closed with the rest. */
  another(settings?: Partial<MetadataSettings>): Metadata;
  close(): Promise<void>;
}

const logger = pino({ level: 'silent' });

/** `shards`: how many of the two index databases the ring uses. */
export async function createTestNamespace(
  options: { shards?: 1 | 2; settings?: Partial<MetadataSettings> } = {},
): Promise<TestNamespace> {
  const databases = await createTestDatabases();
  const connections = databases.index.slice(0, options.shards ?? 2);
  const opened: Metadata[] = [];
  await withPools([databases.control, ...connections], async ([control, ...pools]) => {
    await createFirstRing(
      control as Pool,
      pools.map((pool, i) => ({ shard: i + 1, pool })),
    );
  });
  const another = (settings: Partial<MetadataSettings> = {}) => {
    const metadata = createMetadata(
      { logger, clock: systemClock },
      {
        control: databases.control,
        shards: connections.map((connection, i) => ({ shard: i + 1, connection })),
        // Two cores that also run other suites are no measure of overload.
        maxWaitMs: 10_000,
        ...options.settings,
        ...settings,
      },
    );
    opened.push(metadata);
    return metadata;
  };
  return {
    databases,
    metadata: another(),
    another,
    async close() {
      await Promise.all(opened.map(metadata => metadata.close()));
      await databases.drop();
    },
  };
}

async function withPools(
  targets: readonly TestDatabases['control'][],
  body: (pools: Pool[]) => Promise<void>,
): Promise<void> {
  const pools = targets.map((target, i) =>
    createPool({ logger, clock: systemClock }, target, { ...poolDefaults, name: `setup-${i}`, size: 1 }),
  );
  try {
    await body(pools);
  } finally {
    await Promise.all(pools.map(pool => pool.close()));
  }
}

/** An account of its own keeps a test's names apart from every other's. */
export interface TestAccount {
  readonly uuid: Uuid;
  /** `/<uuid>/stor/<segments…>`, or the root itself. */
  at(...segments: string[]): Place;
  object(fields?: Partial<NewObject>): NewObject;
  directory(fields?: Partial<DirectoryAttributes>): DirectoryAttributes;
}

export function anAccount(): TestAccount {
  const uuid = newUuid();
  return {
    uuid,
    at(...segments) {
      const place = placeOf(uuid, ['stor', ...segments]);
      if (place === undefined) throw new Error(`not a place: ${segments.join('/')}`);
      return place;
    },
    object: fields => ({
      owner: uuid,
      creator: uuid,
      objectId: newUuid(),
      sizeBytes: 5,
      md5: 'XUFAKrxLKna5cZ2REBfFkg==',
      contentType: 'text/plain',
      headers: {},
      roles: [],
      copies: [1, 2],
      ...fields,
    }),
    directory: fields => ({ owner: uuid, creator: uuid, headers: {}, roles: [], ...fields }),
  };
}

/** The same statement on every index database; the rows together. */
export async function onEveryShard<Row extends Record<string, unknown>>(
  databases: TestDatabases,
  text: string,
  params: readonly unknown[] = [],
): Promise<Row[]> {
  const rows = await Promise.all(databases.superuser.index.map(target => queryOnce<Row>(target, text, params)));
  return rows.flat();
}

/**
 * What no sequence of operations may leave behind, as sentences: stray children, counters that differ from what they
 * count, entries and rows of directories that contradict each other, live objects in the fast queue.
 */
export async function inconsistencies(databases: TestDatabases): Promise<string[]> {
  const found: string[] = [];
  const counters = await onEveryShard<{ path: string }>(
    databases,
    `SELECT d.path FROM directory d
     LEFT JOIN (SELECT vnode, dir_id, sum(entries) e, sum(bytes) b FROM directory_usage GROUP BY 1, 2) u USING (vnode, dir_id)
     LEFT JOIN (SELECT vnode, dir_id, count(*) e, sum(COALESCE(content_length, 0)) b FROM entry GROUP BY 1, 2) r
       USING (vnode, dir_id)
     WHERE COALESCE(u.e, 0) <> COALESCE(r.e, 0) OR COALESCE(u.b, 0) <> COALESCE(r.b, 0)`,
  );
  for (const { path } of counters) found.push(`counters of ${path} are off`);
  const stray = await onEveryShard<{ dir_id: string }>(
    databases,
    'SELECT dir_id FROM directory_usage u WHERE NOT EXISTS (SELECT 1 FROM directory d WHERE d.dir_id = u.dir_id)',
  );
  for (const { dir_id } of stray) found.push(`usage without a directory ${dir_id}`);

  const rows = await onEveryShard<{ path: string; dir_id: string; state: string; implicit: boolean }>(
    databases,
    'SELECT path, dir_id, state, implicit FROM directory',
  );
  const entries = await onEveryShard<{ path: string; child_dir: string }>(
    databases,
    `SELECT d.path || '/' || e.name AS path, e.child_dir FROM entry e JOIN directory d USING (vnode, dir_id)
     WHERE e.kind = 'd'`,
  );
  const truth = new Map(entries.map(entry => [entry.path, entry.child_dir]));
  for (const row of rows) {
    if (row.state !== 'live') found.push(`${row.path} is ${row.state}`);
    else if (!row.implicit && truth.get(row.path) !== row.dir_id) found.push(`${row.path} is live without its entry`);
  }
  const live = new Map(rows.map(row => [row.path, row.dir_id]));
  for (const [path, id] of truth) if (live.get(path) !== id) found.push(`${path} has an entry and no row`);

  const referenced = await onEveryShard<{ object_id: string }>(
    databases,
    'SELECT object_id FROM entry WHERE object_id IS NOT NULL',
  );
  const fast = await onEveryShard<{ object_id: string }>(
    databases,
    "SELECT object_id FROM garbage WHERE queue = 'fast'",
  );
  const alive = new Set(referenced.map(row => row.object_id));
  for (const { object_id } of fast) if (alive.has(object_id)) found.push(`live object ${object_id} is queued`);
  return found;
}
