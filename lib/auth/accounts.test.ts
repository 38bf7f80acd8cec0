import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type ConnectionTarget, createPool, type Pool, poolDefaults } from '../database/pool.ts';
import { createTestDatabases, queryOnce, type TestDatabases } from '../database/testing.ts';
import { createTestProxy, type TestProxy } from '../database/testing-proxy.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { newUuid } from '../metadata/path.ts';
import { type AccountAdmin, createAccountAdmin } from './account-admin.ts';
import { type AccountsConfig, accountsSchema, createAccounts } from './accounts.ts';
import { authMigrations } from './migrations.ts';
import { aKeyPair } from './testing.ts';
import type { Accounts } from './types.ts';

const MINUTE = 60_000;
const logger = pino({ level: 'silent' });

let databases: TestDatabases;
let adminPool: Pool;
let admin: AccountAdmin;
let logins = 0;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  databases = await createTestDatabases({ control: [authMigrations] });
  adminPool = createPool({ logger, clock: systemClock }, databases.control, { ...poolDefaults, name: 'control' });
  admin = createAccountAdmin({ pool: adminPool });
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

afterAll(async () => {
  await adminPool.close();
  await databases.drop();
});

interface Cached {
  readonly accounts: Accounts;
  /** Moves the cache's clock. */
  advance(ms: number): void;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
}

async function aCache(
  options: { config?: Partial<AccountsConfig>; pool?: ConnectionTarget; listen?: ConnectionTarget } = {},
): Promise<Cached> {
  const { config = {}, pool: poolTarget = databases.control, listen = databases.control } = options;
  let nowMs = 1_000_000;
  const clock = { now: () => Date.now(), monotonic: () => nowMs };
  const metrics = new Registry();
  const pool = createPool({ logger, clock: systemClock }, poolTarget, { ...poolDefaults, name: 'control' });
  closers.push(() => pool.close());
  const deps = { pool, target: listen, clock, random: Math.random, logger, metrics, program: 'test' };
  const accounts = createAccounts(deps, accountsSchema.parse({ retryMs: 1, ...config }));
  closers.push(() => accounts.close());
  await eventually(() => expect(accounts.isAvailable()).toBe(true));
  return {
    accounts,
    advance: ms => {
      nowMs += ms;
    },
    metric: async (name, labels = {}) => {
      const { values = [] } = (await metrics.getSingleMetric(`manta_test_accounts_${name}`)?.get()) ?? {};
      const found = values.find(value => Object.entries(labels).every(([key, text]) => value.labels[key] === text));
      return found?.value ?? 0;
    },
  };
}

async function aProxy(): Promise<TestProxy> {
  const proxy = await createTestProxy(databases.control);
  closers.push(() => proxy.close());
  return proxy;
}

async function anAccount(): Promise<string> {
  logins += 1;
  const login = `user${logins}`;
  await admin.put(login, { email: 'user@example.com' });
  return login;
}

const answered = { result: 'answered' };

describe('look-ups', () => {
  it('find an account by login and by uuid, with its keys under both fingerprints', async () => {
    const login = await anAccount();
    await admin.put(login, { groups: ['operators'], snaplinksDisabled: true });
    const { openSsh, view: key } = aKeyPair('p256');
    await admin.putKey(login, 'laptop', openSsh);
    const { accounts } = await aCache();
    const view = await accounts.byLogin(login);
    expect(view).toMatchObject({
      login,
      approved: true,
      operator: true,
      groups: ['operators'],
      snaplinksDisabled: true,
    });
    expect(view?.keys.get(key.md5Fingerprint)?.key.equals(key.key)).toBe(true);
    expect(view?.keys.get(key.sha256Fingerprint)?.name).toBe('laptop');
    expect(await accounts.byUuid(view?.uuid ?? newUuid())).toBe(view);
  });

  it('hand out views that cannot be changed', async () => {
    const { accounts } = await aCache();
    const view = await accounts.byLogin(await anAccount());
    expect(Object.isFrozen(view)).toBe(true);
    expect(Object.isFrozen(view?.groups)).toBe(true);
  });

  it('do not remember that a login is absent', async () => {
    const { accounts } = await aCache();
    expect(await accounts.byLogin('latecomer')).toBeUndefined();
    await admin.put('latecomer', { email: 'user@example.com' });
    expect(await accounts.byLogin('latecomer')).toMatchObject({ login: 'latecomer' });
    expect(await accounts.byUuid(newUuid())).toBeUndefined();
  });

  it('answer names no account can have without asking the database', async () => {
    const { accounts, metric } = await aCache();
    for (const login of ['', 'a', 'a\0b', '../x', 'é'.repeat(5), 'a'.repeat(33)]) {
      expect(await accounts.byLogin(login)).toBeUndefined();
    }
    expect(await accounts.byUuid('nonsense' as ReturnType<typeof newUuid>)).toBeUndefined();
    expect(await metric('queries_total', answered)).toBe(0);
  });

  it('make one query out of ten thousand first requests at once', async () => {
    const { accounts, metric } = await aCache();
    const login = await anAccount();
    const views = await Promise.all(Array.from({ length: 10_000 }, () => accounts.byLogin(login)));
    expect(new Set(views).size).toBe(1);
    expect(views[0]?.login).toBe(login);
    expect(await metric('queries_total', answered)).toBe(1);
  });

  it('refuse to load more accounts at once than configured', async () => {
    const { accounts } = await aCache({ config: { maxLoads: 2 } });
    const names = [await anAccount(), await anAccount(), await anAccount()];
    const results = await Promise.allSettled(names.map(login => accounts.byLogin(login)));
    expect(results.map(result => result.status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(results[2]).toMatchObject({ reason: { code: 'ServiceUnavailable' } });
  });

  it('keep the accounts used last', async () => {
    const { accounts, metric } = await aCache({ config: { maxViews: 2 } });
    const [a, b, c] = [await anAccount(), await anAccount(), await anAccount()];
    for (const login of [a, b, a, c]) await accounts.byLogin(login);
    expect(await metric('cached_count')).toBe(2);
    expect(await metric('queries_total', answered)).toBe(3);
    await accounts.byLogin(a);
    expect(await metric('queries_total', answered)).toBe(3);
    await accounts.byLogin(b);
    expect(await metric('queries_total', answered)).toBe(4);
  });
});

describe('a change', () => {
  it('of keys is seen within two seconds by every process', async () => {
    const caches = [await aCache(), await aCache()];
    const login = await anAccount();
    const { openSsh, view: key } = aKeyPair('ed25519');
    const keysSeen = () =>
      Promise.all(caches.map(async ({ accounts }) => (await accounts.byLogin(login))?.keys.has(key.md5Fingerprint)));
    await admin.putKey(login, 'laptop', openSsh);
    await eventually(async () => expect(await keysSeen()).toEqual([true, true]), 2_000);
    await admin.deleteKey(login, 'laptop');
    await eventually(async () => expect(await keysSeen()).toEqual([false, false]), 2_000);
  });

  it('of the login moves the account to its new one', async () => {
    const { accounts } = await aCache();
    const login = await anAccount();
    const before = await accounts.byLogin(login);
    await admin.put(login, { login: `${login}-new` });
    await eventually(async () => expect(await accounts.byLogin(login)).toBeUndefined());
    expect(await accounts.byLogin(`${login}-new`)).toMatchObject({ uuid: before?.uuid });
  });

  it('made by hand in the database is seen as well', async () => {
    const { accounts } = await aCache();
    const login = await anAccount();
    await accounts.byLogin(login);
    await queryOnce(databases.superuser.control, 'UPDATE account SET approved = false WHERE login = $1', [login]);
    await eventually(async () => expect(await accounts.byLogin(login)).toMatchObject({ approved: false }));
  });

  it('by two writers at once loses neither', async () => {
    const { accounts } = await aCache();
    const login = await anAccount();
    const pairs = [aKeyPair('ed25519'), aKeyPair('ed25519'), aKeyPair('ed25519')];
    await accounts.byLogin(login);
    await Promise.all(pairs.map((pair, index) => admin.putKey(login, `key${index}`, pair.openSsh)));
    await eventually(async () => expect((await accounts.byLogin(login))?.keys.size).toBe(6));
  });

  it('during a load leaves its result to those who waited for it, and to nobody later', async () => {
    const proxy = await aProxy();
    const { accounts, metric } = await aCache({ pool: () => ({ ...proxy.target(), application_name: 'held' }) });
    const [login, witness] = [await anAccount(), await anAccount()];
    const { uuid } = await admin.put(witness, {});
    await accounts.byUuid(uuid);
    proxy.hold();
    const before = accounts.byLogin(login);
    await eventually(async () => {
      const text = `SELECT 1 FROM pg_stat_activity
        WHERE application_name = 'held' AND state = 'idle' AND query LIKE '%account_by_login%'`;
      expect(await queryOnce(databases.superuser.control, text)).toHaveLength(1);
    });
    await admin.put(login, { approved: false });
    await admin.put(witness, { approved: false });
    // Announcements come in order: once the later one has dropped its view, the earlier one has been heard.
    await eventually(async () => expect(await metric('cached_count')).toBe(0));
    const after = accounts.byLogin(login);
    proxy.release();
    expect((await before)?.approved).toBe(true);
    expect((await after)?.approved).toBe(false);
    expect((await accounts.byLogin(login))?.approved).toBe(false);
  });

  it('that was announced while nobody listened is found as soon as listening resumes', async () => {
    const proxy = await aProxy();
    const { accounts, metric } = await aCache({ listen: proxy.target });
    const login = await anAccount();
    await accounts.byLogin(login);
    await proxy.cut();
    // Compared once, because the loss itself is a reason to.
    await eventually(async () => {
      await accounts.byLogin(login);
      expect(await metric('queries_total', answered)).toBe(2);
    });
    await admin.put(login, { approved: false });
    expect(await accounts.byLogin(login)).toMatchObject({ approved: true });
    await proxy.restore();
    await eventually(async () => expect(await accounts.byLogin(login)).toMatchObject({ approved: false }));
  });

  it('that was never announced is found by its revision after a minute', async () => {
    const proxy = await aProxy();
    const { accounts, advance, metric } = await aCache({ listen: proxy.target });
    const login = await anAccount();
    await accounts.byLogin(login);
    await proxy.cut();
    await eventually(async () => {
      await accounts.byLogin(login);
      expect(await metric('queries_total', answered)).toBe(2);
    });
    await admin.put(login, { approved: false });
    advance(MINUTE - 1);
    expect(await accounts.byLogin(login)).toMatchObject({ approved: true });
    advance(1);
    expect(await accounts.byLogin(login)).toMatchObject({ approved: false });
  });

  it('that frees a login is not hidden by a view under the old one', async () => {
    const proxy = await aProxy();
    const { accounts, advance, metric } = await aCache({ listen: proxy.target });
    const login = await anAccount();
    const before = await accounts.byLogin(login);
    await proxy.cut();
    await eventually(async () => {
      await accounts.byLogin(login);
      expect(await metric('queries_total', answered)).toBe(2);
    });
    await admin.put(login, { login: `${login}-new` });
    const { uuid } = await admin.put(login, { email: 'other@example.com' });
    advance(MINUTE);
    expect(await accounts.byLogin(login)).toMatchObject({ uuid });
    expect(await accounts.byLogin(`${login}-new`)).toMatchObject({ uuid: before?.uuid });
  });
});

describe('a view in use', () => {
  it('is compared once a minute, by one query for all who ask', async () => {
    const { accounts, advance, metric } = await aCache();
    const login = await anAccount();
    const first = await accounts.byLogin(login);
    advance(MINUTE);
    const views = await Promise.all(Array.from({ length: 100 }, () => accounts.byLogin(login)));
    expect(new Set(views)).toEqual(new Set([first]));
    advance(MINUTE - 1);
    await accounts.byLogin(login);
    expect(await metric('queries_total', answered)).toBe(2);
    advance(1);
    await accounts.byLogin(login);
    expect(await metric('queries_total', answered)).toBe(3);
  });
});

describe('while the database is away', () => {
  it('views serve for a quarter of an hour, then look-ups are refused until it is back', async () => {
    const proxy = await aProxy();
    const { accounts, advance, metric } = await aCache({ pool: proxy.target, listen: proxy.target });
    const [login, stranger] = [await anAccount(), await anAccount()];
    const view = await accounts.byLogin(login);
    await proxy.cut();
    await expect(accounts.byLogin(stranger)).rejects.toMatchObject({ code: 'ServiceUnavailable' });

    advance(15 * MINUTE);
    expect(await accounts.byLogin(login)).toBe(view);
    expect(accounts.isAvailable()).toBe(true);
    expect(await metric('view_age_seconds')).toBe(15 * 60);
    advance(1);
    await expect(accounts.byLogin(login)).rejects.toMatchObject({
      code: 'ServiceUnavailable',
      message: 'manta is unable to serve this request',
    });
    expect(accounts.isAvailable()).toBe(false);

    await proxy.restore();
    await eventually(async () => expect(await accounts.byLogin(login)).toBe(view));
    await eventually(() => expect(accounts.isAvailable()).toBe(true));
    expect(await metric('view_age_seconds')).toBeLessThan(1);
  });

  it('a view that was announced as changed serves nobody', async () => {
    const proxy = await aProxy();
    const { accounts, metric } = await aCache({ pool: proxy.target });
    const login = await anAccount();
    await accounts.byLogin(login);
    await proxy.cut();
    await admin.put(login, { approved: false });
    await eventually(async () => expect(await metric('cached_count')).toBe(0));
    await expect(accounts.byLogin(login)).rejects.toMatchObject({ code: 'ServiceUnavailable' });
  });

  it('only one request at a time finds out whether it is back', async () => {
    const proxy = await aProxy();
    const { accounts, advance, metric } = await aCache({ pool: proxy.target, config: { deadlineMs: 200 } });
    const names = await Promise.all(Array.from({ length: 20 }, anAccount));
    await Promise.all(names.map(login => accounts.byLogin(login)));
    proxy.hold();
    advance(MINUTE);
    const first = await Promise.all(names.map(login => accounts.byLogin(login)));
    expect(first.every(view => view !== undefined)).toBe(true);
    const before = await metric('queries_total', { result: 'failed' });
    advance(MINUTE);
    await Promise.all(names.map(login => accounts.byLogin(login)));
    expect((await metric('queries_total', { result: 'failed' })) - before).toBe(1);
    proxy.release();
  });
});

describe('the listening connection', () => {
  async function listeners(): Promise<number> {
    const text = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'manta-listener' AND datname = $1";
    return (await queryOnce(databases.superuser.control, text, [databases.control().database])).length;
  }

  it('is made anew when the server ends it', async () => {
    const { accounts } = await aCache();
    const login = await anAccount();
    await accounts.byLogin(login);
    const text =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'manta-listener' AND datname = $1";
    await queryOnce(databases.superuser.control, text, [databases.control().database]);
    await eventually(async () => expect(await listeners()).toBe(1));
    await admin.put(login, { approved: false });
    await eventually(async () => expect(await accounts.byLogin(login)).toMatchObject({ approved: false }));
  });

  it('ends with close, which may be called twice', async () => {
    const { accounts } = await aCache();
    expect(await listeners()).toBe(1);
    await Promise.all([accounts.close(), accounts.close()]);
    await eventually(async () => expect(await listeners()).toBe(0));
  });
});
