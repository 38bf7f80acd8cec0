import { pino } from 'pino';
import type { ConnectionTarget } from '../database/pool.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { createResolver, type Resolver, resolverDefaults } from '../shard/resolver.ts';
import { createTestShard, type TestShard, testKeys } from '../shard/testing.ts';
import { anAccount, createTestNamespace, inconsistencies, onEveryShard, type TestNamespace } from './testing.ts';
import type { Metadata } from './types.ts';

/** All databases of the namespace are on one shard, whose primary is one of two wires to the same server. */
let region: TestNamespace;
let shard: TestShard;
let resolver: Resolver;
let metadata: Metadata;

beforeAll(async () => {
  region = await createTestNamespace();
  shard = await createTestShard();
  resolver = createResolver(
    {
      source: shard.source,
      keys: testKeys,
      askPrimary: () => Promise.reject(new Error('no sitter')),
      clock: systemClock,
      logger: pino({ level: 'silent' }),
    },
    { ...resolverDefaults, shard: 1, fenceMs: 600_000, queueMs: 10_000, patienceMs: 10_000 },
  );
  const moving = (connection: ConnectionTarget) => resolver.target(connection);
  metadata = region.another({
    control: moving(region.databases.control),
    shards: region.databases.index.map((connection, i) => ({ shard: i + 1, connection: moving(connection) })),
  });
});
afterAll(async () => {
  await region.close();
  await resolver.close();
  await shard.close();
});

async function kill(primary: 0 | 1): Promise<void> {
  await shard.wires[primary].cut();
  // A statement may go on for a moment after its connection was lost, which a real kill does not allow.
  await onEveryShard(
    region.databases,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE usename = 'manta_webapi' AND datname = current_database()`,
  );
  await shard.promote(primary === 0 ? 1 : 0);
  await shard.wires[primary].restore();
}

async function switchOver(primary: 0 | 1): Promise<void> {
  await shard.setStatus('handoff');
  await eventually(async () => {
    const busy = await onEveryShard(
      region.databases,
      `SELECT 1 FROM pg_stat_activity
       WHERE usename = 'manta_webapi' AND datname = current_database() AND state <> 'idle'`,
    );
    expect(busy).toEqual([]);
  });
  await kill(primary);
}

test.each([
  ['killed', kill],
  ['switched over', switchOver],
])(
  'a primary that is %s under load costs no caller an error and no write',
  async (_how, change) => {
    const me = anAccount();
    const any = { kind: 'any' } as const;
    let done = 0;
    const loads = Array.from({ length: 8 }, async (_, n) => {
      const dir = me.at(`d${n}`);
      expect((await metadata.mkdir(dir, me.directory(), any)).kind).toBe('created');
      for (let i = 0; i < 15; i += 1) {
        const place = me.at(`d${n}`, `x${i}`);
        expect((await metadata.putObject(place, me.object(), any)).kind).toMatch(/created|unchanged/);
        const entry = await metadata.get(place);
        if (entry?.kind !== 'object') throw new Error('an acknowledged object is not there');
        const linked = await metadata.link(place, entry, me.at(`d${n}`, `y${i}`), me.directory());
        expect(linked.kind).toMatch(/created|unchanged/);
        expect((await metadata.deleteObject(place, entry.rev)).kind).toBe('deleted');
        done += 1;
      }
    });
    let primary: 0 | 1 = resolver.status().primary === 'pg-1-0' ? 0 : 1;
    for (const at of [15, 45, 75]) {
      await eventually(() => expect(done).toBeGreaterThan(at), 60_000);
      await change(primary);
      primary = primary === 0 ? 1 : 0;
    }
    await Promise.all(loads);
    for (const n of [0, 3, 7]) {
      const page = await metadata.list(me.at(`d${n}`, 'x').dir, { sort: 'name', reverse: false, limit: 1000 });
      expect(page.entries).toHaveLength(15);
    }
    expect(await inconsistencies(region.databases)).toEqual([]);
  },
  120_000,
);
