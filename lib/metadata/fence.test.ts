import { queryOnce } from '../database/testing.ts';
import { eventually } from '../eventually/eventually.ts';
import { canonicalRanges } from './first-ring.ts';
import { childrenOf, newRev, sha256, vnodeOf } from './path.ts';
import { anAccount, createTestNamespace, type TestNamespace } from './testing.ts';
import type { Metadata } from './types.ts';

const any = { kind: 'any' } as const;
let region: TestNamespace;
/** A router of the test's own, which knows the ring as it is at its first call. */
let metadata: Metadata;

beforeAll(async () => {
  // The ring is looked at when a shard asks for it, not by the clock.
  region = await createTestNamespace({ settings: { ringRefreshMs: 3_600_000, fenceMs: 1_000 } });
});
afterAll(() => region.close());
beforeEach(async () => {
  const [a, b] = region.databases.superuser.index;
  await queryOnce(a, "UPDATE shard_range SET lo = 0, hi = 65535, state = 'rw'");
  await queryOnce(b, "UPDATE shard_range SET lo = 65536, hi = 131071, state = 'rw'");
  await queryOnce(region.databases.superuser.control, 'DELETE FROM ring_version WHERE version > 1');
  metadata = region.another();
});

/** Hands every vnode of the first shard to the second by editing what a move would edit. */
async function moveAll(): Promise<void> {
  const [a, b] = region.databases.superuser.index;
  await queryOnce(a, "UPDATE shard_range SET state = 'moved', epoch = epoch + 1");
  await queryOnce(b, 'UPDATE shard_range SET lo = 0, epoch = epoch + 1');
}

async function announce(): Promise<void> {
  const ranges = canonicalRanges([{ lo: 0, hi: 131_071, shard: 2, epoch: 2 }]);
  await queryOnce(
    region.databases.superuser.control,
    'INSERT INTO ring_version (version, ranges, digest) VALUES (2, $1, $2)',
    [ranges, sha256(ranges)],
  );
}

function accountOnFirstShard() {
  for (;;) {
    const me = anAccount();
    if (vnodeOf(me.at('a').dir) < 65_536) return me;
  }
}

describe('a router that is behind', () => {
  it('follows a move at its first refused call, and the old shard accepts and answers nothing', async () => {
    const me = accountOnFirstShard();
    await metadata.putObject(me.at('old'), me.object(), any);
    await moveAll();
    await announce();
    expect((await metadata.putObject(me.at('new'), me.object(), any)).kind).toBe('created');
    // Rows were not copied in this test: an answer with the old entry could only come from the old shard.
    expect(await metadata.get(me.at('old'))).toBeUndefined();
    const rows = await queryOnce(
      region.databases.superuser.index[0],
      "SELECT 1 FROM entry WHERE name = 'new' AND owner = $1",
      [me.uuid],
    );
    expect(rows).toEqual([]);
  });

  it('follows it whatever the call is', async () => {
    const me = accountOnFirstShard();
    const listing = { sort: 'name', reverse: false, limit: 1 } as const;
    const calls: ((metadata: Metadata) => Promise<unknown>)[] = [
      metadata => metadata.get(me.at('x')),
      metadata => metadata.list(childrenOf(me.at()), listing),
      metadata => metadata.mkdir(me.at('x'), me.directory(), any),
      metadata => metadata.rmdir(me.at('x'), any),
      metadata => metadata.deleteObject(me.at('x'), newRev()),
    ];
    const routers = calls.map(() => region.another());
    for (const router of routers) await router.get(me.at('x'));
    await moveAll();
    await announce();
    for (const [i, call] of calls.entries()) await call(routers[i] as Metadata);
  });

  it('gives up with a 503 when nobody answers for the range', async () => {
    const me = accountOnFirstShard();
    await metadata.get(me.at('x'));
    await moveAll();
    const started = performance.now();
    await expect(metadata.get(me.at('x'))).rejects.toMatchObject({ code: 'ServiceUnavailable', kind: 'moved' });
    expect(performance.now() - started).toBeGreaterThan(900);
  });
});

describe('a range that is being handed over', () => {
  it('is read from and holds its writers until it opens', async () => {
    const me = accountOnFirstShard();
    await metadata.putObject(me.at('a'), me.object(), any);
    const [a] = region.databases.superuser.index;
    await queryOnce(a, "UPDATE shard_range SET state = 'ro'");
    expect(await metadata.get(me.at('a'))).toBeDefined();
    let done = false;
    const put = metadata.putObject(me.at('b'), me.object(), any).finally(() => {
      done = true;
    });
    expect((await queryOnce(a, "SELECT 1 FROM entry WHERE name = 'b' AND owner = $1", [me.uuid])).length).toBe(0);
    expect(done).toBe(false);
    await queryOnce(a, "UPDATE shard_range SET state = 'rw'");
    expect((await put).kind).toBe('created');
  });
});

describe('a region without its control database', () => {
  it('goes on with the ring it knows', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('a'), me.object(), any);
    const name = region.databases.control().database;
    await queryOnce(region.databases.superuser.index[0], `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    await queryOnce(
      region.databases.superuser.index[0],
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1',
      [name],
    );
    expect((await metadata.putObject(me.at('b'), me.object(), any)).kind).toBe('created');
    await eventually(() => metadata.isAvailable());
    await queryOnce(region.databases.superuser.index[0], `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  });
});
