import { queryOnce } from '../database/testing.ts';
import { childrenOf, newUuid, sha256, vnodeOf } from './path.ts';
import {
  anAccount,
  createTestNamespace,
  inconsistencies,
  onEveryShard,
  type TestAccount,
  type TestNamespace,
} from './testing.ts';
import type { Place } from './types.ts';

const any = { kind: 'any' } as const;

/** The protocol between two shards and the short way on one must not be told apart. */
describe.each([1, 2] as const)('directories on %d shard(s)', shards => {
  let region: TestNamespace;
  beforeAll(async () => {
    region = await createTestNamespace({ shards });
  });
  afterAll(() => region.close());

  const ringShard = (vnode: number) => (shards === 2 && vnode >= 65_536 ? 1 : 0);

  /** A child of the root whose children live with the root's, or not. */
  function placeWhere(me: TestAccount, together: boolean): Place {
    for (let i = 0; ; i += 1) {
      const place = me.at(`d${i}`);
      if ((ringShard(vnodeOf(place.dir)) === ringShard(vnodeOf(childrenOf(place)))) === together) return place;
    }
  }
  const kinds = shards === 1 ? [true] : [true, false];

  describe.each(kinds)('entry and children together: %s', together => {
    it('mkdir is idempotent, and writes again only when something but roles differs', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      const { metadata } = region;
      const first = await metadata.mkdir(place, me.directory({ headers: { 'm-a': '1' } }), any);
      expect(first.kind).toBe('created');
      const again = await metadata.mkdir(place, me.directory({ headers: { 'm-a': '1' }, roles: [newUuid()] }), any);
      expect(again).toEqual({ ...first, kind: 'unchanged' });
      const changed = await metadata.mkdir(place, me.directory({ headers: { 'm-a': '2' } }), any);
      expect(changed.kind).toBe('replaced');
      expect(await metadata.get(place)).toMatchObject({ kind: 'directory', headers: { 'm-a': '2' }, roles: [] });
      expect(await inconsistencies(region.databases)).toEqual([]);
    });

    it('mkdir needs its parent and leaves nothing behind without one', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      expect(await region.metadata.mkdir({ ...me.at('no', 'x') }, me.directory(), any)).toEqual({
        kind: 'no_directory',
      });
      await region.metadata.putObject(place, me.object(), any);
      const below = me.at(place.name, 'x');
      expect(await region.metadata.mkdir(below, me.directory(), any)).toEqual({ kind: 'no_directory' });
      const rows = await onEveryShard(
        region.databases,
        'SELECT path FROM directory WHERE owner = $1 AND NOT implicit',
        [me.uuid],
      );
      expect(rows).toEqual([]);
    });

    it('mkdir replaces an object and queues its bytes', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      const object = me.object();
      await region.metadata.putObject(place, object, any);
      expect((await region.metadata.mkdir(place, me.directory(), any)).kind).toBe('replaced');
      const queued = await onEveryShard(region.databases, 'SELECT object_id FROM garbage WHERE owner = $1', [me.uuid]);
      expect(queued).toEqual([{ object_id: object.objectId }]);
      expect(await inconsistencies(region.databases)).toEqual([]);
    });

    it('mkdir keeps to what it was told to find', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      await region.metadata.mkdir(place, me.directory(), any);
      expect(await region.metadata.mkdir(place, me.directory({ headers: { 'm-a': '1' } }), { kind: 'absent' })).toEqual(
        {
          kind: 'precondition',
        },
      );
      expect((await region.metadata.get(place))?.headers).toEqual({});
    });

    it('twenty mkdirs of one path all succeed', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      const other = region.another();
      const made = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? region.metadata : other).mkdir(place, me.directory(), any)),
      );
      expect(made.filter(({ kind }) => kind === 'created')).toHaveLength(1);
      expect(made.filter(({ kind }) => kind === 'unchanged')).toHaveLength(19);
      const put = await region.metadata.putObject(me.at(place.name, 'x'), me.object(), any);
      expect(put.kind).toBe('created');
    });

    it('rmdir refuses a directory with entries and succeeds right after the last is deleted', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      const child = me.at(place.name, 'x');
      const { metadata } = region;
      await metadata.mkdir(place, me.directory(), any);
      await metadata.putObject(child, me.object(), any);
      expect(await metadata.rmdir(place, any)).toEqual({ kind: 'not_empty' });
      const entry = await metadata.get(child);
      if (entry === undefined) throw new Error('no entry');
      await metadata.deleteObject(child, entry.rev);
      expect(await metadata.rmdir(place, any)).toEqual({ kind: 'deleted' });
      expect(await metadata.rmdir(place, any)).toEqual({ kind: 'absent' });
      expect(await metadata.putObject(child, me.object(), any)).toEqual({ kind: 'no_directory' });
    });

    it('rmdir tells an object and another version from its directory', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      await region.metadata.putObject(me.at('o'), me.object(), any);
      expect(await region.metadata.rmdir(me.at('o'), any)).toEqual({ kind: 'is_object' });
      await region.metadata.mkdir(place, me.directory(), any);
      const rev = newUuid() as never;
      expect(await region.metadata.rmdir(place, { kind: 'rev', rev })).toEqual({ kind: 'precondition' });
    });

    it('two rmdirs of one directory delete it once', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      await region.metadata.mkdir(place, me.directory(), any);
      const ends = await Promise.all([1, 2].map(() => region.metadata.rmdir(place, any)));
      expect(ends.map(({ kind }) => kind).sort()).toEqual(['absent', 'deleted']);
    });

    it('writers against rmdir and mkdir leave no orphan', async () => {
      const me = anAccount();
      const place = placeWhere(me, together);
      const other = region.another();
      const failures: unknown[] = [];
      let going = true;
      let removed = 0;
      let created = 0;
      const cycle = async () => {
        while (going) {
          await other.mkdir(place, me.directory(), any);
          if ((await other.rmdir(place, any)).kind === 'deleted') removed += 1;
        }
      };
      const write = async (n: number) => {
        for (let i = 0; i < 60; i += 1) {
          const child = me.at(place.name, `x${n}-${i}`);
          const put = await region.metadata.putObject(child, me.object(), any);
          if (put.kind !== 'created') continue;
          created += 1;
          if ((await region.metadata.deleteObject(child, put.rev)).kind !== 'deleted') failures.push(child);
        }
      };
      const cycles = [cycle(), cycle()].map(run => run.catch(error => failures.push(error)));
      await Promise.all([0, 1, 2, 3, 4, 5].map(n => write(n).catch(error => failures.push(error))));
      going = false;
      await Promise.all(cycles);
      expect(failures).toEqual([]);
      expect(removed).toBeGreaterThan(0);
      expect(created).toBeGreaterThan(0);
      expect(await inconsistencies(region.databases)).toEqual([]);
    });
  });
});

describe('a crash between two shards', () => {
  let region: TestNamespace;
  beforeAll(async () => {
    region = await createTestNamespace({ settings: { sweepAgeMs: 0 } });
  });
  afterAll(() => region.close());

  /** A directory whose row and entry are on different shards, made, and then set back to what a crash leaves. */
  async function leftBehind(row: 'pending' | 'deleting' | 'none', entry: boolean): Promise<[TestAccount, Place]> {
    const me = anAccount();
    let place = me.at('d');
    for (let i = 0; vnodeOf(place.dir) < 65_536 === vnodeOf(childrenOf(place)) < 65_536; i += 1) place = me.at(`d${i}`);
    await region.metadata.mkdir(place, me.directory(), any);
    const hash = sha256(childrenOf(place));
    const change = row === 'none' ? 'DELETE FROM directory WHERE' : `UPDATE directory SET state = '${row}' WHERE`;
    for (const target of region.databases.superuser.index) {
      await queryOnce(target, `${change} path_hash = $1`, [hash]);
      if (!entry) {
        await queryOnce(target, "DELETE FROM entry WHERE owner = $1 AND kind = 'd'", [me.uuid]);
        await queryOnce(target, 'DELETE FROM directory_usage USING directory d WHERE d.owner = $1', [me.uuid]);
      }
    }
    return [me, place];
  }

  const states = [
    ['pending', true],
    ['pending', false],
    ['deleting', true],
    ['deleting', false],
    ['none', true],
  ] as const;

  it.each(states)('is healed by the next mkdir (row %s, entry %s)', async (row, entry) => {
    const [me, place] = await leftBehind(row, entry);
    expect((await region.metadata.mkdir(place, me.directory(), any)).kind).toMatch(/created|unchanged/);
    expect((await region.metadata.putObject(me.at(place.name, 'x'), me.object(), any)).kind).toBe('created');
    expect((await region.metadata.list(childrenOf(me.at()), listing)).entries).toHaveLength(1);
  });

  it.each(states)('is healed by the next rmdir (row %s, entry %s)', async (row, entry) => {
    const [, place] = await leftBehind(row, entry);
    expect(await region.metadata.rmdir(place, any)).toEqual({ kind: entry ? 'deleted' : 'absent' });
    expect(await region.metadata.get(place)).toBeUndefined();
  });

  it.each(states)('is settled by whoever writes below it (row %s, entry %s)', async (row, entry) => {
    const [me, place] = await leftBehind(row, entry);
    const put = await region.metadata.putObject(me.at(place.name, 'x'), me.object(), any);
    expect(put.kind).toBe(entry && row !== 'deleting' ? 'created' : 'no_directory');
  });

  it.each(states.slice(0, 4))('is settled by the sweeper (row %s, entry %s)', async (row, entry) => {
    const [, place] = await leftBehind(row, entry);
    expect(await region.metadata.sweep(new AbortController().signal)).toBeGreaterThan(0);
    const rows = await onEveryShard<{ state: string }>(
      region.databases,
      'SELECT state FROM directory WHERE path_hash = $1',
      [sha256(childrenOf(place))],
    );
    const survives = entry && row === 'pending';
    expect(rows).toEqual(survives ? [{ state: 'live' }] : []);
    expect((await region.metadata.get(place)) !== undefined).toBe(survives);
  });
});

const listing = { sort: 'name', reverse: false, limit: 10 } as const;
