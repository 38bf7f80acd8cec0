import { queryOnce } from '../database/testing.ts';
import { childrenOf, vnodeOf } from './path.ts';
import {
  anAccount,
  createTestNamespace,
  inconsistencies,
  onEveryShard,
  type TestAccount,
  type TestNamespace,
} from './testing.ts';
import type { LinkResult, ObjectEntry, Place } from './types.ts';

const any = { kind: 'any' } as const;

describe.each([1, 2] as const)('links on %d shard(s)', shards => {
  let region: TestNamespace;
  beforeAll(async () => {
    region = await createTestNamespace({ shards });
  });
  afterAll(() => region.close());

  async function objectAt(place: Place): Promise<ObjectEntry> {
    const entry = await region.metadata.get(place);
    if (entry?.kind !== 'object') throw new Error(`no object at ${place.name}`);
    return entry;
  }

  async function link(me: TestAccount, source: Place, target: Place): Promise<LinkResult> {
    return region.metadata.link(source, await objectAt(source), target, { owner: me.uuid, roles: [] });
  }

  function queued(me: TestAccount): Promise<{ queue: string; object_id: string }[]> {
    return onEveryShard(region.databases, 'SELECT queue, object_id FROM garbage WHERE owner = $1', [me.uuid]);
  }

  /** A directory of the account whose children live on the other shard than the root's. */
  async function farDirectory(me: TestAccount): Promise<string> {
    for (let i = 0; ; i += 1) {
      const place = me.at(`far${i}`);
      if (vnodeOf(place.dir) < 65_536 === vnodeOf(childrenOf(place)) < 65_536) continue;
      await region.metadata.mkdir(place, me.directory(), any);
      return place.name;
    }
  }

  it('give an object a second name with the same bytes', async () => {
    const me = anAccount();
    const far = await farDirectory(me);
    await region.metadata.putObject(me.at('a'), me.object({ headers: { 'm-a': '1' } }), any);
    for (const target of [me.at('b'), me.at(far, 'c')]) {
      expect((await link(me, me.at('a'), target)).kind).toBe('created');
      const source = await objectAt(me.at('a'));
      const copy = await objectAt(target);
      expect(copy).toEqual({ ...source, rev: copy.rev, mtimeMs: copy.mtimeMs });
      expect(source.singlePath).toBe(false);
    }
    const refs = await onEveryShard<{ path: string }>(
      region.databases,
      'SELECT path FROM object_ref WHERE object_id = $1',
      [(await objectAt(me.at('a'))).objectId],
    );
    const paths = [me.at('a'), me.at('b'), me.at(far, 'c')].map(childrenOf).sort();
    expect(refs.map(({ path }) => path).sort()).toEqual(paths);
  });

  it('keep the bytes out of the fast queue when names go one after another', async () => {
    const me = anAccount();
    const far = await farDirectory(me);
    const names = [me.at('a'), me.at(far, 'b'), me.at('c'), me.at(far, 'd')];
    const object = me.object();
    await region.metadata.putObject(names[0] as Place, object, any);
    for (let i = 1; i < names.length; i += 1) {
      const [from, to] = [names[i - 1] as Place, names[i] as Place];
      expect((await link(me, from, to)).kind).toBe('created');
      await region.metadata.deleteObject(from, (await objectAt(from)).rev);
    }
    expect((await objectAt(names[3] as Place)).objectId).toBe(object.objectId);
    expect(await queued(me)).toEqual(Array(3).fill({ queue: 'slow', object_id: object.objectId }));
  });

  it('replace an object, not a directory, and need a directory to be in', async () => {
    const me = anAccount();
    const far = await farDirectory(me);
    const replaced = me.object();
    await region.metadata.putObject(me.at('a'), me.object(), any);
    await region.metadata.putObject(me.at('b'), replaced, any);
    expect((await link(me, me.at('a'), me.at('b'))).kind).toBe('replaced');
    expect(await queued(me)).toEqual([{ queue: 'fast', object_id: replaced.objectId }]);
    expect(await link(me, me.at('a'), me.at(far))).toEqual({ kind: 'is_directory' });
    expect(await link(me, me.at('a'), me.at('none', 'x'))).toEqual({ kind: 'no_directory' });
  });

  it('change nothing when a name is linked onto itself', async () => {
    const me = anAccount();
    await region.metadata.putObject(me.at('a'), me.object(), any);
    const before = await objectAt(me.at('a'));
    expect(await link(me, me.at('a'), me.at('a'))).toEqual({ kind: 'unchanged', mtimeMs: before.mtimeMs });
    expect(await objectAt(me.at('a'))).toEqual(before);
  });

  it('follow a source that was overwritten, and say when it is gone', async () => {
    const me = anAccount();
    const far = await farDirectory(me);
    for (const target of [me.at('b'), me.at(far, 'b')]) {
      await region.metadata.putObject(me.at('a'), me.object(), any);
      const seen = await objectAt(me.at('a'));
      await region.metadata.putObject(me.at('a'), me.object(), any);
      const now = await objectAt(me.at('a'));
      const attributes = { owner: me.uuid, roles: [] };
      expect((await region.metadata.link(me.at('a'), seen, target, attributes)).kind).toBe('created');
      expect((await objectAt(target)).objectId).toBe(now.objectId);
      await region.metadata.deleteObject(me.at('a'), (await objectAt(me.at('a'))).rev);
      expect(await region.metadata.link(me.at('a'), now, target, attributes)).toEqual({ kind: 'source_gone' });
    }
  });

  it('are refused for an object that the collector has condemned', async () => {
    const me = anAccount();
    const far = await farDirectory(me);
    await region.metadata.putObject(me.at('a'), me.object(), any);
    const { objectId } = await objectAt(me.at('a'));
    const home = vnodeOf(`object:${objectId}`);
    const shard = region.databases.superuser.index[shards === 2 && home >= 65_536 ? 1 : 0];
    await queryOnce(shard, 'INSERT INTO object_state VALUES ($1, $2, 1, now())', [home, objectId]);
    for (const target of [me.at('b'), me.at(far, 'b')]) {
      expect(await link(me, me.at('a'), target)).toEqual({ kind: 'source_gone' });
      expect(await region.metadata.get(target)).toBeUndefined();
    }
  });

  it('that cross one another, or race with overwrites and deletes, leave nothing dangling', async () => {
    const me = anAccount();
    const far = await farDirectory(me);
    const places = [me.at('a'), me.at('b'), me.at(far, 'a'), me.at(far, 'b')];
    for (const place of places) await region.metadata.putObject(place, me.object(), any);
    const failures: unknown[] = [];
    const worker = async (n: number) => {
      for (let i = 0; i < 25; i += 1) {
        const from = places[(n + i) % 4] as Place;
        const to = places[(n * 3 + i * 2 + 1) % 4] as Place;
        const entry = await region.metadata.get(from);
        if (entry?.kind !== 'object' || i % 5 === 3) await region.metadata.putObject(from, me.object(), any);
        else if (i % 5 === 4) await region.metadata.deleteObject(from, entry.rev);
        else await region.metadata.link(from, entry, to, { owner: me.uuid, roles: [] });
      }
    };
    await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(n => worker(n).catch(error => failures.push(error))));
    expect(failures).toEqual([]);
    expect(await inconsistencies(region.databases)).toEqual([]);
    // A name whose bytes another name shares must not look like the only one.
    const entries = await onEveryShard<{ object_id: string; single_path: boolean }>(
      region.databases,
      'SELECT object_id, single_path FROM entry WHERE owner = $1 AND object_id IS NOT NULL',
      [me.uuid],
    );
    for (const { object_id, single_path } of entries) {
      if (entries.filter(entry => entry.object_id === object_id).length > 1) expect(single_path).toBe(false);
    }
  });
});
