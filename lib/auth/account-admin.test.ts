import { pino } from 'pino';
import { createPool, type Pool, poolDefaults } from '../database/pool.ts';
import { createTestDatabases, queryOnce, type TestDatabases } from '../database/testing.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { type AccountAdmin, createAccountAdmin } from './account-admin.ts';
import { authMigrations } from './migrations.ts';
import { aKeyPair } from './testing.ts';

let databases: TestDatabases;
let pool: Pool;
let admin: AccountAdmin;
let logins = 0;

beforeAll(async () => {
  databases = await createTestDatabases({ control: [authMigrations] });
  const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
  pool = createPool(deps, databases.control, { ...poolDefaults, name: 'control' });
  admin = createAccountAdmin({ pool });
});

afterAll(async () => {
  await pool.close();
  await databases.drop();
});

const email = 'user@example.com';

/** A login nobody has yet. */
function aLogin(): string {
  logins += 1;
  return `user${logins}`;
}

async function anAccount(): Promise<string> {
  const login = aLogin();
  await admin.put(login, { email });
  return login;
}

async function revOf(login: string): Promise<number> {
  const rows = await queryOnce<{ rev: string }>(databases.control, 'SELECT rev FROM account WHERE login = $1', [login]);
  return Number(rows[0]?.rev);
}

describe('put', () => {
  it('creates an account that is approved and in no group unless told otherwise', async () => {
    const login = aLogin();
    const { kind, uuid } = await admin.put(login, { email });
    expect(kind).toBe('created');
    expect(await admin.get(login)).toEqual({
      uuid,
      login,
      email,
      approved: true,
      groups: [],
      snaplinksDisabled: false,
      keys: [],
    });
  });

  it('changes what it is given and keeps the rest', async () => {
    const login = await anAccount();
    expect(await admin.put(login, { approved: false, groups: ['operators'] })).toMatchObject({ kind: 'changed' });
    await admin.put(login, { snaplinksDisabled: true });
    expect(await admin.get(login)).toMatchObject({
      email,
      approved: false,
      groups: ['operators'],
      snaplinksDisabled: true,
    });
    await admin.put(login, { snaplinksDisabled: false, groups: [] });
    expect(await admin.get(login)).toMatchObject({ approved: false, groups: [], snaplinksDisabled: false });
  });

  it('moves the revision when something changes, and only then', async () => {
    const login = await anAccount();
    await admin.put(login, { email, approved: true });
    expect(await revOf(login)).toBe(1);
    await admin.put(login, { approved: false });
    expect(await revOf(login)).toBe(2);
  });

  it('renames, keeps the uuid, and may be repeated', async () => {
    const [from, to] = [await anAccount(), aLogin()];
    const { uuid } = await admin.put(from, { login: to });
    expect(await admin.put(from, { login: to })).toEqual({ kind: 'changed', uuid });
    expect(await admin.get(from)).toBeUndefined();
    expect(await admin.get(to)).toMatchObject({ uuid, email });
  });

  it('gives a login to one account only', async () => {
    const [first, second] = [await anAccount(), await anAccount()];
    await expect(admin.put(first, { login: second })).rejects.toMatchObject({
      code: 'EntityAlreadyExists',
      message: `${second} already exists`,
    });
    expect(await admin.get(first)).toBeDefined();
  });

  it('does not rename what does not exist', async () => {
    await expect(admin.put(aLogin(), { login: aLogin(), email })).rejects.toMatchObject({ code: 'ResourceNotFound' });
  });

  it('creates one account however many ask at once', async () => {
    const login = aLogin();
    const results = await Promise.all(Array.from({ length: 8 }, () => admin.put(login, { email })));
    expect(new Set(results.map(result => result.uuid)).size).toBe(1);
    expect(results.filter(result => result.kind === 'created')).toHaveLength(1);
    const principals = await queryOnce(
      databases.control,
      'SELECT 1 FROM principal LEFT JOIN account ON id = uuid WHERE uuid IS NULL',
    );
    expect(principals).toEqual([]);
  });

  it.each([
    ['a short login', 'ab', { email }, 'login: must be a letter'],
    ['a login that starts with a digit', '1abc', { email }, 'login: must be a letter'],
    ['a long login', 'a'.repeat(33), { email }, 'login: must be a letter'],
    ['a new login with a slash', 'fine', { email, login: 'a/bc' }, 'login: must be a letter'],
    ['no e-mail address for a new account', 'fine', {}, 'email: a new account needs one'],
    ['a strange e-mail address', 'fine', { email: 'x' }, 'email: must be an e-mail address'],
    ['a group twice', 'fine', { email, groups: ['operators', 'operators'] }, 'groups: must not repeat a group'],
    ['an unknown group', 'fine', { email, groups: ['readers'] }, 'groups.0: '],
    ['an unknown field', 'fine', { email, colour: 'red' }, 'account: '],
  ])('refuses %s', async (_title, login, change, message) => {
    await expect(admin.put(login, change as object)).rejects.toMatchObject({
      code: 'InvalidParameter',
      message: expect.stringContaining(message),
    });
    expect(await admin.get('fine')).toBeUndefined();
  });
});

describe('keys', () => {
  it('are kept under their name with both fingerprints', async () => {
    const login = await anAccount();
    const { openSsh, view } = aKeyPair('rsa');
    const expected = {
      name: 'laptop',
      algorithm: 'rsa',
      md5Fingerprint: view.md5Fingerprint,
      sha256Fingerprint: view.sha256Fingerprint,
    };
    expect(await admin.putKey(login, 'laptop', openSsh)).toEqual(expected);
    expect(await admin.get(login)).toMatchObject({ keys: [expected] });
  });

  it('may be put again without effect, and replaced', async () => {
    const login = await anAccount();
    const [first, second] = [aKeyPair('ed25519'), aKeyPair('p256')];
    await admin.putKey(login, 'laptop', first.openSsh);
    await admin.putKey(login, 'laptop', first.openSsh);
    expect(await revOf(login)).toBe(2);
    await admin.putKey(login, 'laptop', second.openSsh);
    expect(await admin.get(login)).toMatchObject({ keys: [{ sha256Fingerprint: second.view.sha256Fingerprint }] });
    expect(await revOf(login)).toBe(3);
  });

  it('have one name in an account, and may be in several accounts', async () => {
    const [login, other] = [await anAccount(), await anAccount()];
    const { openSsh } = aKeyPair('ed25519');
    await admin.putKey(login, 'laptop', openSsh);
    await admin.putKey(other, 'desktop', openSsh);
    await expect(admin.putKey(login, 'desktop', openSsh)).rejects.toMatchObject({ code: 'EntityAlreadyExists' });
  });

  it('may be deleted again and again', async () => {
    const login = await anAccount();
    await admin.putKey(login, 'laptop', aKeyPair('ed25519').openSsh);
    await admin.deleteKey(login, 'laptop');
    await admin.deleteKey(login, 'laptop');
    expect(await admin.get(login)).toMatchObject({ keys: [] });
    expect(await revOf(login)).toBe(3);
  });

  it('need an account, a name without slashes, and a key', async () => {
    const { openSsh } = aKeyPair('ed25519');
    const login = await anAccount();
    for (const nobody of [aLogin(), 'a\0b', '']) {
      await expect(admin.putKey(nobody, 'laptop', openSsh)).rejects.toMatchObject({ code: 'ResourceNotFound' });
      await expect(admin.deleteKey(nobody, 'laptop')).rejects.toMatchObject({ code: 'ResourceNotFound' });
    }
    for (const name of ['', 'a/b', 'a\0b', 'x'.repeat(129)]) {
      await expect(admin.putKey(login, name, openSsh)).rejects.toMatchObject({ code: 'InvalidParameter' });
    }
    await expect(admin.putKey(login, 'laptop', 'hello')).rejects.toMatchObject({ code: 'InvalidParameter' });
    expect(await admin.get(login)).toMatchObject({ keys: [] });
  });
});

describe('list', () => {
  it('pages through the accounts in order of login', async () => {
    const made = await Promise.all(Array.from({ length: 5 }, anAccount));
    const seen: string[] = [];
    for (;;) {
      const page = await admin.list(seen.at(-1) ?? '', 2);
      if (page.length === 0) break;
      seen.push(...page.map(account => account.login));
    }
    expect(seen).toEqual([...seen].sort());
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(made));
  });
});
