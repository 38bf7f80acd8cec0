import { pino } from 'pino';
import { systemClock } from '../lifecycle/clock.ts';
import { createPool, type Pool, type PoolConfig, poolDefaults } from './pool.ts';
import { queryOnce, testServer } from './testing.ts';

const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
const pools: Pool[] = [];

/** Connections that a test can find again by their name. */
function aPool(name: string, config: Partial<PoolConfig> = {}, host?: string): Pool {
  const target = () => ({ ...testServer(), database: 'postgres', application_name: name, ...(host ? { host } : {}) });
  const pool = createPool(deps, target, { ...poolDefaults, name, maxWaitMs: 10_000, ...config });
  pools.push(pool);
  return pool;
}
afterEach(async () => {
  await Promise.all(pools.splice(0).map(pool => pool.close()));
});

function terminate(name: string): Promise<unknown> {
  return queryOnce(testServer, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
    name,
  ]);
}

describe('a pool', () => {
  it('answers with rows and opens no more connections than it may', async () => {
    const pool = aPool('pool-size', { size: 3 });
    const pids = await Promise.all(
      Array.from({ length: 20 }, () =>
        pool.query<{ pid: number; n: number }>('SELECT pg_backend_pid() AS pid, $1::int AS n', [7]),
      ),
    );
    expect(new Set(pids.map(([row]) => row?.pid)).size).toBeLessThanOrEqual(3);
    expect(pids[0]?.[0]?.n).toBe(7);
    expect(pool.isAvailable()).toBe(true);
  });

  it('tells a statement at fault from a lost connection', async () => {
    const pool = aPool('pool-faults', { size: 1 });
    await expect(pool.query('SELECT 1 / 0')).rejects.toMatchObject({
      kind: 'rejected',
      code: 'InternalError',
      sqlState: '22012',
    });
    const lost = pool.query('SELECT pg_terminate_backend(pg_backend_pid())');
    await expect(lost).rejects.toMatchObject({ kind: 'unknown', code: 'ServiceUnavailable' });
    expect(await pool.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('names what the shard says through its own SQLSTATEs', async () => {
    const pool = aPool('pool-states');
    const raise = (state: string) => pool.query(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${state}'; END $$`);
    await expect(raise('MR001')).rejects.toMatchObject({ kind: 'read_only' });
    await expect(raise('MR002')).rejects.toMatchObject({ kind: 'moved' });
    await expect(raise('40P01')).rejects.toMatchObject({ kind: 'retry' });
    await expect(raise('25006')).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('heals when its idle connections are lost', async () => {
    const pool = aPool('pool-idle', { size: 2 });
    await pool.query('SELECT 1');
    await terminate('pool-idle');
    // The loss may be noticed only by the next statement, whose outcome is then unknown.
    const first = await pool.query('SELECT 2 AS n').catch((error: { kind: string }) => error.kind);
    expect([[{ n: 2 }], 'unknown']).toContainEqual(first);
    expect(await pool.query('SELECT 3 AS n')).toEqual([{ n: 3 }]);
    expect(pool.isAvailable()).toBe(true);
  });

  it('is unavailable while nobody listens, and says that nothing was done', async () => {
    const pool = aPool('pool-nobody', {}, '/nonexistent');
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({ kind: 'unavailable', code: 'ServiceUnavailable' });
    expect(pool.isAvailable()).toBe(false);
  });

  it('follows its target', async () => {
    let host = '/nonexistent';
    const pool = createPool(
      deps,
      () => ({ ...testServer(), host: host === '' ? (testServer().host as string) : host }),
      {
        ...poolDefaults,
        name: 'pool-target',
      },
    );
    pools.push(pool);
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({ kind: 'unavailable' });
    host = '';
    expect(await pool.query('SELECT 1 AS n')).toEqual([{ n: 1 }]);
  });

  it('stops waiting at the deadline and on abort, and lets the statement go on', async () => {
    const pool = aPool('pool-deadline', { size: 1 });
    await pool.query('CREATE TABLE IF NOT EXISTS pool_deadline (n int)');
    const slow = 'WITH s AS (SELECT pg_sleep(0.2)) INSERT INTO pool_deadline SELECT 1 FROM s RETURNING n';
    await expect(pool.query(slow, [], { deadlineMs: 20 })).rejects.toMatchObject({ kind: 'unknown' });
    const controller = new AbortController();
    const aborted = pool.query(slow, [], { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(aborted).rejects.toThrow('gone');
    // On the same, only, connection: it comes after the first statement has ended.
    expect(await pool.query('SELECT count(*)::int AS n FROM pool_deadline')).toEqual([{ n: 1 }]);
    await pool.query('DROP TABLE pool_deadline');
  });

  it('commits what a transaction did, or nothing of it', async () => {
    const pool = aPool('pool-transaction', { size: 1 });
    await pool.query('CREATE TABLE IF NOT EXISTS pool_transaction (n int)');
    await pool.transaction(tx => tx.query('INSERT INTO pool_transaction VALUES (1)'));
    const failed = pool.transaction(async tx => {
      await tx.query('INSERT INTO pool_transaction VALUES (2)');
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    const lost = pool.transaction(tx => tx.query('SELECT pg_terminate_backend(pg_backend_pid())'));
    await expect(lost).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await pool.query('SELECT n FROM pool_transaction')).toEqual([{ n: 1 }]);
    await pool.query('DROP TABLE pool_transaction');
  });

  it('bounds how long a statement may wait for a lock', async () => {
    const pool = aPool('pool-lock', { size: 2, lockTimeoutMs: 30 });
    await pool.session(async holder => {
      await holder.query('SELECT pg_advisory_lock(777, 1)');
      await expect(pool.query('SELECT pg_advisory_lock(777, 1)')).rejects.toMatchObject({ kind: 'retry' });
      await holder.query('SELECT pg_advisory_unlock(777, 1)');
    });
  });

  it('refuses calls once it is closed', async () => {
    const pool = aPool('pool-closed');
    await pool.query('SELECT 1');
    await Promise.all([pool.close(), pool.close()]);
    await expect(pool.query('SELECT 1')).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
