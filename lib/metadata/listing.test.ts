import { queryOnce } from '../database/testing.ts';
import { childrenOf, sha256, vnodeOf } from './path.ts';
import { anAccount, createTestNamespace, type TestAccount, type TestNamespace } from './testing.ts';
import type { DirPath, ListedEntry, ListQuery } from './types.ts';

const COUNT = 20_001;
let region: TestNamespace;
let me: TestAccount;
let big: DirPath;

beforeAll(async () => {
  region = await createTestNamespace();
  me = anAccount();
  await region.metadata.mkdir(me.at('big'), me.directory(), { kind: 'any' });
  big = childrenOf(me.at('big'));
  // Straight into the table: what is tested is reading. Three entries share each millisecond; every tenth is a directory.
  for (const target of region.databases.superuser.index) {
    await queryOnce(
      target,
      `INSERT INTO entry (vnode, dir_id, name, kind, owner, creator, rev, mtime, object_id, content_length, content_md5,
         content_type, single_path, child_dir)
       SELECT d.vnode, d.dir_id, 'n' || i, CASE WHEN i % 10 = 0 THEN 'd' ELSE 'o' END::"char",
         CASE WHEN i % 100 = 1 THEN gen_random_uuid() ELSE d.owner END, d.owner, gen_random_uuid(),
         timestamptz '2024-01-01' + (i / 3) * interval '1 ms',
         CASE WHEN i % 10 > 0 THEN gen_random_uuid() END, CASE WHEN i % 10 > 0 THEN i END,
         CASE WHEN i % 10 > 0 THEN decode(md5(i::text), 'hex') END, CASE WHEN i % 10 > 0 THEN 'text/plain' END, true,
         CASE WHEN i % 10 = 0 THEN gen_random_uuid() END
       FROM directory d, generate_series(1, $2) AS i WHERE d.path_hash = $1`,
      [sha256(big), COUNT],
    );
    await queryOnce(
      target,
      'INSERT INTO directory_usage SELECT vnode, dir_id, 0, $2, 0 FROM directory WHERE path_hash = $1',
      [sha256(big), COUNT],
    );
  }
});
afterAll(() => region.close());

/** All pages as a client reads them: the marker is the last line of the page before, and comes first again. */
async function pages(
  query: Omit<ListQuery, 'limit'>,
  markerOf: (entry: ListedEntry) => string | number,
): Promise<ListedEntry[]> {
  const all: ListedEntry[] = [];
  let marker = query.marker;
  for (;;) {
    const page = await region.metadata.list(big, {
      ...query,
      limit: 1024,
      ...(marker === undefined ? {} : { marker }),
    });
    expect(page.total).toBe(COUNT);
    const repeated = marker === undefined || typeof marker === 'number' ? 0 : 1;
    if (repeated === 1) expect(page.entries[0]?.name).toBe(marker);
    all.push(...page.entries.slice(repeated));
    if (page.entries.length < 1024) return all;
    marker = markerOf(page.entries.at(-1) as ListedEntry);
  }
}

describe('a large directory', () => {
  it.each([false, true])('is listed by name, each entry once (reverse: %s)', async reverse => {
    const names = (await pages({ sort: 'name', reverse }, entry => entry.name)).map(entry => entry.name);
    expect(names).toHaveLength(COUNT);
    const sorted = [...names].sort((a, b) => (a < b ? -1 : 1));
    expect(names).toEqual(reverse ? sorted.reverse() : sorted);
  });

  it.each([false, true])('is listed by time, newest first unless reversed (reverse: %s)', async reverse => {
    const entries = await pages({ sort: 'mtime', reverse }, entry => entry.mtimeMs);
    const times = entries.map(entry => entry.mtimeMs);
    const sorted = [...times].sort((a, b) => (reverse ? a - b : b - a));
    expect(times).toEqual(sorted);
    expect(new Set(entries.map(entry => entry.name)).size).toBe(COUNT);
  });

  it('is filtered by kind and owner before the page is cut', async () => {
    const query = { sort: 'name', reverse: false, limit: 100 } as const;
    const directories = await region.metadata.list(big, { ...query, only: 'directory' });
    expect(directories.entries).toHaveLength(100);
    expect(directories.entries.every(entry => entry.kind === 'directory')).toBe(true);
    const mine = await region.metadata.list(big, { ...query, owner: me.uuid, marker: 'n1' });
    expect(mine.entries).toHaveLength(100);
    expect(mine.entries.map(entry => entry.name)).not.toContain('n101');
    const objects = await region.metadata.list(big, { ...query, only: 'object', marker: 'n7' });
    expect(objects.entries[0]).toMatchObject({ kind: 'object', name: 'n7', sizeBytes: 7, copies: 0 });
  });

  it('costs a page no more at its end than at its beginning', async () => {
    const shard = region.databases.superuser.index[vnodeOf(big) < 65_536 ? 0 : 1];
    const touched = async (marker: string | null) => {
      const rows = await queryOnce<{
        'QUERY PLAN': [{ Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number } }];
      }>(
        shard,
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM list_v1(${vnodeOf(big)}, sha256('${big}'), 'name', false,
         ${marker === null ? 'NULL' : `'${marker}'`}, NULL, 256, NULL, NULL)`,
      );
      const plan = rows[0]?.['QUERY PLAN'][0].Plan;
      return (plan?.['Shared Hit Blocks'] ?? 0) + (plan?.['Shared Read Blocks'] ?? 0);
    };
    await touched(null);
    expect(await touched('n98')).toBeLessThan(2 * (await touched(null)) + 50);
  });

  it('ignores the marker when no order is asked for', async () => {
    const page = await region.metadata.list(big, { sort: 'none', reverse: false, limit: 10, marker: 'zzz' });
    expect(page.entries).toHaveLength(10);
  });
});
