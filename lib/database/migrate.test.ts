import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { controlMigrations, indexMigrations } from '../metadata/migrations.ts';
import { migrate } from './migrate.ts';
import { createTestDatabases, queryOnce, type TestDatabases } from './testing.ts';

const deps = { logger: pino({ level: 'silent' }) };
let databases: TestDatabases;
let directory: string;

beforeAll(async () => {
  databases = await createTestDatabases();
});
afterAll(() => databases.drop());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'migrations-'));
});
afterEach(() => rm(directory, { recursive: true }));

let sets = 0;
function aSet() {
  sets += 1;
  return { name: `set${sets}`, directory };
}

describe('migrations', () => {
  it('are applied once, in order, and their objects belong to the owner', async () => {
    const set = aSet();
    await writeFile(join(directory, '0002-b.sql'), `INSERT INTO ${set.name} VALUES (2)`);
    await writeFile(join(directory, '0001-a.sql'), `CREATE TABLE ${set.name} (n int)`);
    const target = databases.superuser.control;
    expect(await migrate(deps, target, set, 'test')).toEqual([`${set.name}/0001-a.sql`, `${set.name}/0002-b.sql`]);
    expect(await migrate(deps, target, set, 'test')).toEqual([]);
    expect(await queryOnce(target, `SELECT n FROM ${set.name}`)).toEqual([{ n: 2 }]);
    expect(await queryOnce(target, 'SELECT tableowner FROM pg_tables WHERE tablename = $1', [set.name])).toEqual([
      { tableowner: 'manta_owner' },
    ]);
  });

  it('are applied once by programs that start together', async () => {
    const set = aSet();
    await writeFile(join(directory, '0001-a.sql'), `CREATE TABLE ${set.name} (n int)`);
    const runs = await Promise.all([1, 2, 3].map(() => migrate(deps, databases.superuser.control, set, 'test')));
    expect(runs.flat()).toEqual([`${set.name}/0001-a.sql`]);
  });

  it('stop at a file that was changed after it had been applied', async () => {
    const set = aSet();
    await writeFile(join(directory, '0001-a.sql'), 'SELECT 1');
    await migrate(deps, databases.superuser.control, set, 'test');
    await writeFile(join(directory, '0001-a.sql'), 'SELECT 2');
    await expect(migrate(deps, databases.superuser.control, set, 'test')).rejects.toMatchObject({
      code: 'MigrationChanged',
    });
  });

  it('leave nothing of a file that fails', async () => {
    const set = aSet();
    await writeFile(join(directory, '0001-a.sql'), `CREATE TABLE ${set.name} (n int); SELECT 1 / 0`);
    await expect(migrate(deps, databases.superuser.control, set, 'test')).rejects.toThrow('division by zero');
    expect(
      await queryOnce(databases.superuser.control, 'SELECT 1 FROM pg_tables WHERE tablename = $1', [set.name]),
    ).toEqual([]);
  });
});

describe('the schema', () => {
  it('leaves webapi no way to write to an index but its functions', async () => {
    const [index] = databases.index;
    await expect(queryOnce(index, 'DELETE FROM entry')).rejects.toMatchObject({ code: '42501' });
    await expect(queryOnce(index, 'SELECT shard_enter(1)')).rejects.toMatchObject({ code: '42501' });
    await expect(queryOnce(index, 'SET ROLE manta_owner')).rejects.toMatchObject({ code: '42501' });
    expect(await queryOnce(index, 'SELECT 1 FROM entry')).toEqual([]);
  });

  it('fixes the search path of every function that runs with its owner’s rights', async () => {
    for (const target of [databases.superuser.index[0], databases.superuser.control]) {
      const loose = await queryOnce(
        target,
        `SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace
         AND NOT COALESCE(proconfig::text, '') LIKE '%search_path=public, pg_temp%'`,
      );
      expect(loose).toEqual([]);
    }
  });

  it('has no transaction control inside functions', async () => {
    for (const { directory: from } of [indexMigrations, controlMigrations]) {
      for (const file of await readdir(from)) {
        expect(await readFile(join(from, file), 'utf8')).not.toMatch(/\b(COMMIT|ROLLBACK|PROCEDURE)\b/);
      }
    }
  });
});
