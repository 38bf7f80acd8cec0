import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { connectOnce } from '../database/connect.ts';
import { createListener, listenerDefaults } from '../database/listener.ts';
import type { MovingTarget } from '../database/moving-target.ts';
import { createPool, type Pool, type PoolConfig, poolDefaults } from '../database/pool.ts';
import { queryOnce, testServer } from '../database/testing.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { createResolver, type Resolver, type ResolverConfig, resolverDefaults } from './resolver.ts';
import { createTestShard, type TestShard, testKeys } from './testing.ts';

const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
const ROLE = `follower_${randomBytes(6).toString('hex')}`;
const superuser = () => ({ ...testServer(), database: 'postgres' });

let shard: TestShard;
let resolver: Resolver;
const closing: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  await queryOnce(superuser, `CREATE ROLE ${ROLE} LOGIN PASSWORD 'follower'`);
  await queryOnce(superuser, `CREATE TABLE ${ROLE} (n int)`);
  await queryOnce(superuser, `GRANT ALL ON ${ROLE} TO ${ROLE}`);
});
afterAll(async () => {
  await queryOnce(superuser, `DROP TABLE ${ROLE}`);
  await queryOnce(superuser, `DROP ROLE ${ROLE}`);
});
beforeEach(async () => {
  await queryOnce(superuser, `ALTER ROLE ${ROLE} LOGIN`);
  await queryOnce(superuser, `ALTER ROLE ${ROLE} RESET default_transaction_read_only`);
  await queryOnce(superuser, `TRUNCATE ${ROLE}`);
  shard = await createTestShard();
  resolver = follow({});
});
afterEach(async () => {
  await terminate();
  for (const part of closing.splice(0).reverse()) await part.close();
  await shard.close();
});

function follow(config: Partial<ResolverConfig>, clock = systemClock): Resolver {
  const askPrimary = () => Promise.reject(new Error('no sitter'));
  const made = createResolver(
    { ...deps, clock, source: shard.source, keys: testKeys, askPrimary },
    { ...resolverDefaults, shard: 1, fenceMs: 600_000, queueMs: 10_000, patienceMs: 10_000, ...config },
  );
  closing.push(made);
  return made;
}

function target(of: Resolver = resolver): MovingTarget {
  return of.target(() => ({ user: ROLE, password: 'follower', database: 'postgres', application_name: ROLE }));
}

function aPool(config: Partial<PoolConfig> = {}, to: MovingTarget = target()): Pool {
  const pool = createPool(deps, to, { ...poolDefaults, name: 'following', size: 4, maxWaitMs: 10_000, ...config });
  closing.push(pool);
  return pool;
}

function terminate(): Promise<unknown> {
  return queryOnce(superuser, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [ROLE]);
}

async function backends(): Promise<number[]> {
  const rows = await queryOnce<{ pid: number }>(superuser, 'SELECT pid FROM pg_stat_activity WHERE usename = $1', [
    ROLE,
  ]);
  return rows.map(row => row.pid);
}

async function written(): Promise<number[]> {
  const rows = await queryOnce<{ n: number }>(superuser, `SELECT n FROM ${ROLE} ORDER BY n`);
  return rows.map(row => row.n);
}

const insert = (pool: Pool, n: number) => pool.query(`INSERT INTO ${ROLE} VALUES ($1)`, [n]);
/** In flight until its connection is lost. */
const SLOW = 'SELECT pg_sleep(60)';

async function inFlight(text: string): Promise<void> {
  await eventually(async () => {
    const rows = await queryOnce(
      superuser,
      "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND query = $2 AND state = 'active'",
      [ROLE, text],
    );
    expect(rows).toHaveLength(1);
  });
}

describe('a planned switchover', () => {
  it('lets work wait during the handoff and do it on the next primary; the old connections are ended', async () => {
    const pool = aPool();
    await pool.query('SELECT 1');
    const before = await backends();
    await shard.setStatus('handoff');
    const queued = [1, 2, 3, 4, 5, 6, 7, 8].map(n => insert(pool, n));
    expect(resolver.status().waiting).toBe(8);
    expect(await backends()).toEqual(before);
    await shard.promote(1);
    await Promise.all(queued);
    expect(await written()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    await eventually(async () => expect((await backends()).filter(pid => before.includes(pid))).toEqual([]));
    await shard.wires[0].cut();
    await pool.query('SELECT 1');
  });

  it('fails no request of many that run', async () => {
    const pool = aPool();
    let running = true;
    let n = 0;
    const done: number[] = [];
    const client = async () => {
      while (running) {
        const mine = n++;
        await insert(pool, mine);
        done.push(mine);
      }
    };
    const clients = Array.from({ length: 8 }, client);
    for (const next of [1, 0, 1] as const) {
      const before = done.length;
      await eventually(() => expect(done.length).toBeGreaterThan(before + 50));
      // W3 to W8: announce, close the gate, end what is left, stop, and let the next one open.
      await shard.setStatus('handoff');
      await eventually(async () => {
        const busy = "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND state <> 'idle'";
        expect(await queryOnce(superuser, busy, [ROLE])).toEqual([]);
      });
      await queryOnce(superuser, `ALTER ROLE ${ROLE} NOLOGIN`);
      await terminate();
      await shard.wires[next === 1 ? 0 : 1].cut();
      await shard.promote(next);
      await queryOnce(superuser, `ALTER ROLE ${ROLE} LOGIN`);
      await shard.wires[next === 1 ? 0 : 1].restore();
    }
    const before = done.length;
    await eventually(() => expect(done.length).toBeGreaterThan(before + 50));
    running = false;
    await Promise.all(clients);
    expect(await written()).toEqual(done.sort((a, b) => a - b));
  });

  it('goes on with the same primary when that one withdraws', async () => {
    const pool = aPool();
    await shard.setStatus('handoff');
    const queued = insert(pool, 1);
    await shard.setStatus('active');
    await queued;
    expect(await written()).toEqual([1]);
  });
});

describe('a primary that is lost', () => {
  it.each([
    ['dies', () => shard.wires[0].cut()],
    ['falls silent', () => shard.wires[0].hold()],
    ['is superseded while it works', () => {}],
  ])('and %s leaves what was sent unknown, and everything else to the next one', async (_how, lose) => {
    const pool = aPool({ size: 1 });
    const sent = pool.query(SLOW).catch(error => error.kind);
    await inFlight(SLOW);
    const behind = insert(pool, 1);
    await lose();
    const later = insert(pool, 2);
    await shard.promote(1);
    expect(await sent).toBe('unknown');
    await Promise.all([behind, later]);
    expect(await written()).toEqual([1, 2]);
  });

  it('is replaced for statements that may be repeated, without their callers seeing it', async () => {
    const pool = aPool();
    const text = `SELECT pg_sleep(CASE WHEN (SELECT count(*) FROM ${ROLE}) = 0 THEN 60 ELSE 0 END), 7 AS n`;
    const sent = pool.query(text, [], { isRepeatable: true });
    await inFlight(text);
    await queryOnce(superuser, `INSERT INTO ${ROLE} VALUES (1)`);
    await shard.wires[0].cut();
    await shard.promote(1);
    expect(await sent).toMatchObject([{ n: 7 }]);
  });

  it('costs a call that never was sent its deadline at most, and that one knows that nothing was done', async () => {
    const pool = aPool({}, target(follow({ queueMs: 10_000, patienceMs: 10_000 })));
    await shard.wires[0].cut();
    await expect(pool.query('SELECT 1', [], { deadlineMs: 50 })).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'ServiceUnavailable',
    });
    await expect(insert(aPool({}, target(follow({ queueMs: 50 }))), 1)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await written()).toEqual([]);
  });

  it('is counted on for as long as work waits for the next one, and no longer', async () => {
    const [patient, hasty] = [aPool(), aPool({}, target(follow({ queueMs: 100, patienceMs: 100 })))];
    for (const pool of [patient, hasty]) {
      expect(pool.isAvailable()).toBe(false);
      await pool.query('SELECT 1');
      const sent = pool.query(SLOW);
      await inFlight(SLOW);
      await terminate();
      await expect(sent).rejects.toMatchObject({ kind: 'unknown' });
    }
    expect(patient.isAvailable()).toBe(true);
    await eventually(() => !hasty.isAvailable());
    await hasty.query('SELECT 1');
    expect(hasty.isAvailable()).toBe(true);
  });

  it('runs a transaction again that was lost before its commit was sent, and says so of one that was lost in it', async () => {
    const pool = aPool();
    let runs = 0;
    await pool.transaction(async tx => {
      runs += 1;
      await tx.query(`INSERT INTO ${ROLE} VALUES (1)`);
      if (runs > 1) return;
      await shard.promote(1);
      await tx.query('SELECT 1');
    });
    expect([runs, await written()]).toEqual([2, [1]]);
    const lost = pool.transaction(async tx => {
      await tx.query(`INSERT INTO ${ROLE} VALUES (2)`);
      shard.wires[1].hold();
      setTimeout(() => shard.wires[1].cut(), 50);
    });
    await expect(lost).rejects.toMatchObject({ kind: 'unknown' });
  });
});

describe('a gate', () => {
  it('that is closed is waited for, by one knock at a time', async () => {
    const pool = aPool();
    await queryOnce(superuser, `ALTER ROLE ${ROLE} NOLOGIN`);
    const queued = [1, 2, 3, 4, 5].map(n => insert(pool, n));
    await eventually(() => expect(resolver.status().waiting).toBe(5));
    await queryOnce(superuser, `ALTER ROLE ${ROLE} LOGIN`);
    await Promise.all(queued);
    expect(await written()).toEqual([1, 2, 3, 4, 5]);
  });

  it('that stays closed is no matter of a statement: nothing was done', async () => {
    const pool = aPool({}, target(follow({ queueMs: 50 })));
    await queryOnce(superuser, `ALTER ROLE ${ROLE} NOLOGIN`);
    await expect(insert(pool, 1)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('that closes under idle connections costs nobody anything', async () => {
    const pool = aPool();
    await Promise.all([1, 2, 3].map(n => insert(pool, n)));
    await queryOnce(superuser, `ALTER ROLE ${ROLE} NOLOGIN`);
    await terminate();
    await eventually(async () => expect(await backends()).toEqual([]));
    const queued = insert(pool, 4);
    await queryOnce(superuser, `ALTER ROLE ${ROLE} LOGIN`);
    await queued;
    expect(await written()).toEqual([1, 2, 3, 4]);
  });

  it('does not hide a wrong password', async () => {
    const wrong = resolver.target(() => ({ user: ROLE, password: 'wrong', database: 'postgres' }));
    await expect(aPool({}, wrong).query('SELECT 1')).rejects.toMatchObject({ kind: 'unavailable', sqlState: '28P01' });
  });
});

describe('a server that is not, or not yet, the primary', () => {
  it('and is read-only gets the statement again until it is not, and applies it once', async () => {
    await queryOnce(superuser, `ALTER ROLE ${ROLE} SET default_transaction_read_only = on`);
    const pool = aPool();
    const write = insert(pool, 1);
    const writes = pool.transaction(async tx => {
      await tx.query(`INSERT INTO ${ROLE} VALUES (2)`);
      await tx.query(`INSERT INTO ${ROLE} VALUES (3)`);
    });
    await eventually(async () => expect(await backends()).not.toEqual([]));
    await queryOnce(superuser, `ALTER ROLE ${ROLE} RESET default_transaction_read_only`);
    await Promise.all([write, writes]);
    expect(await written()).toEqual([1, 2, 3]);
    await queryOnce(superuser, `ALTER ROLE ${ROLE} SET default_transaction_read_only = on`);
    const impatient = aPool({}, target(follow({ patienceMs: 50 })));
    await expect(insert(impatient, 4)).rejects.toMatchObject({ kind: 'unavailable', sqlState: '25006' });
  });

  it('and refuses the second statement of a session does not get the first one again', async () => {
    const pool = aPool();
    let runs = 0;
    const session = pool.session(async statements => {
      runs += 1;
      await statements.query(`INSERT INTO ${ROLE} VALUES (1)`);
      await statements.query('SET default_transaction_read_only = on');
      await statements.query(`INSERT INTO ${ROLE} VALUES (2)`);
    });
    await expect(session).rejects.toMatchObject({ kind: 'unavailable', sqlState: '25006' });
    expect([runs, await written()]).toEqual([1, [1]]);
  });

  it('and has another system identifier is given nothing', async () => {
    await shard.promote(1, { systemId: '1' });
    await expect(insert(aPool({}, target(follow({ queueMs: 50 }))), 1)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await written()).toEqual([]);
  });
});

test('nothing is sent once the fence has run out, not even on a connection in use', async () => {
  let skewMs = 0;
  const clock = { ...systemClock, monotonic: () => performance.now() + skewMs };
  const pool = aPool({}, target(follow({}, clock)));
  await pool.session(async session => {
    await session.query('SELECT 1');
    skewMs = 600_001;
    await expect(session.query('SELECT 2')).rejects.toMatchObject({ kind: 'unavailable' });
  });
  await expect(pool.query('SELECT 1', [], { deadlineMs: 50 })).rejects.toMatchObject({ kind: 'unavailable' });
});

test('a connection for something that is done once waits for the primary, too', async () => {
  await shard.setStatus('handoff');
  const connecting = connectOnce(target());
  await queryOnce(superuser, `ALTER ROLE ${ROLE} NOLOGIN`);
  await shard.promote(1);
  await eventually(() => expect(resolver.status().waiting).toBe(0));
  await queryOnce(superuser, `ALTER ROLE ${ROLE} LOGIN`);
  const client = await connecting;
  expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }]);
  await client.end();
});

test('a listener goes where the primary goes', async () => {
  const told: string[] = [];
  const listener = createListener(
    { ...deps, random: Math.random },
    target(),
    { ...listenerDefaults, channel: ROLE, retryMs: { first: 5, last: 20 } },
    {
      notified: payload => told.push(payload),
      connected: () => told.push('connected'),
      alive: () => {},
      lost: () => told.push('lost'),
    },
  );
  closing.push(listener);
  await eventually(() => expect(told).toEqual(['connected']));
  shard.wires[0].hold();
  await shard.promote(1);
  await eventually(() => expect(told).toEqual(['connected', 'lost', 'connected']));
  await queryOnce(superuser, 'SELECT pg_notify($1, $2)', [ROLE, 'heard']);
  await eventually(() => expect(told).toEqual(['connected', 'lost', 'connected', 'heard']));
});
