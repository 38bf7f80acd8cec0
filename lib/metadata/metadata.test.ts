import { queryOnce } from '../database/testing.ts';
import { eventually } from '../eventually/eventually.ts';
import { childrenOf, newRev, newUuid, vnodeOf } from './path.ts';
import { anAccount, createTestNamespace, inconsistencies, onEveryShard, type TestNamespace } from './testing.ts';
import type { DirPath, Metadata, ObjectEntry, Place } from './types.ts';

const any = { kind: 'any' } as const;
const absent = { kind: 'absent' } as const;

let region: TestNamespace;
let metadata: Metadata;

beforeAll(async () => {
  region = await createTestNamespace();
  metadata = region.metadata;
});
afterAll(() => region.close());

async function objectAt(place: Place): Promise<ObjectEntry> {
  const entry = await metadata.get(place);
  if (entry?.kind !== 'object') throw new Error(`no object at ${place.name}`);
  return entry;
}

function garbageOf(account: { uuid: string }): Promise<{ object_id: string; queue: string }[]> {
  return onEveryShard(region.databases, 'SELECT object_id, queue FROM garbage WHERE owner = $1', [account.uuid]);
}

describe('putting an object', () => {
  it('gives back what was put', async () => {
    const me = anAccount();
    const object = me.object({
      headers: { 'm-colour': 'blau', 'cache-control': 'no-cache' },
      contentDisposition: 'attachment; filename="a"',
      roles: [newUuid()],
      copies: [3, 1, 2],
    });
    const put = await metadata.putObject(me.at('a'), object, any);
    expect(put.kind).toBe('created');
    const { objectId, ...rest } = object;
    expect(await metadata.get(me.at('a'))).toEqual({
      kind: 'object',
      ...rest,
      objectId,
      etag: objectId,
      singlePath: true,
      ...('rev' in put ? { rev: put.rev, mtimeMs: put.mtimeMs } : {}),
    });
  });

  it('counts the entries of the directory', async () => {
    const me = anAccount();
    expect(await metadata.getForWrite(me.at('a'))).toEqual({ entry: undefined, siblings: 0 });
    for (const name of ['a', 'b', 'a']) await metadata.putObject(me.at(name), me.object(), any);
    expect((await metadata.getForWrite(me.at('a'))).siblings).toBe(2);
  });

  it('needs its directory, except below a root', async () => {
    const me = anAccount();
    expect(await metadata.putObject(me.at('no', 'x'), me.object(), any)).toEqual({ kind: 'no_directory' });
    expect((await metadata.putObject(me.at('x'), me.object(), any)).kind).toBe('created');
  });

  it('does not replace a directory', async () => {
    const me = anAccount();
    await metadata.mkdir(me.at('d'), me.directory(), any);
    expect(await metadata.putObject(me.at('d'), me.object(), any)).toEqual({ kind: 'is_directory' });
  });

  it('lets one of ten creators win', async () => {
    const me = anAccount();
    const puts = await Promise.all(
      Array.from({ length: 10 }, () => metadata.putObject(me.at('a'), me.object(), absent)),
    );
    expect(puts.map(put => put.kind).sort()).toEqual(['created', ...Array(9).fill('precondition')]);
  });

  it('lets one of ten conditional writers win, whichever process they are in', async () => {
    const me = anAccount();
    const other = region.another();
    await metadata.putObject(me.at('a'), me.object(), any);
    const { rev } = await objectAt(me.at('a'));
    const puts = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        (i % 2 === 0 ? metadata : other).putObject(me.at('a'), me.object(), { kind: 'rev', rev }),
      ),
    );
    expect(puts.filter(put => put.kind === 'replaced')).toHaveLength(1);
    expect(puts.filter(put => put.kind === 'precondition')).toHaveLength(9);
  });

  it('queues every replaced object once and leaves the winner readable', async () => {
    const me = anAccount();
    const other = region.another();
    const objects = Array.from({ length: 60 }, () => me.object());
    await Promise.all(
      objects.map((object, i) => (i % 2 === 0 ? metadata : other).putObject(me.at('hot'), object, any)),
    );
    const queued = await garbageOf(me);
    expect(new Set(queued.map(row => row.object_id)).size).toBe(59);
    expect(queued).toHaveLength(59);
    const winner = await objectAt(me.at('hot'));
    expect(queued.map(row => row.object_id)).not.toContain(winner.objectId);
  });

  it('is changed and deleted by unguarded writers whatever others do to it meanwhile', async () => {
    const me = anAccount();
    const other = region.another();
    await metadata.putObject(me.at('hot'), me.object(), any);
    const seen = await objectAt(me.at('hot'));
    const patch = (i: number) => ({ headers: { 'm-i': `${i}` }, roles: [] });
    const updates = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        await metadata.putObject(me.at('hot'), me.object(), any);
        return (i % 2 === 0 ? metadata : other).updateMetadata(me.at('hot'), patch(i), seen, any);
      }),
    );
    expect(new Set(updates.map(update => update.kind))).toEqual(new Set(['updated']));
    const puts = Array.from({ length: 10 }, () => metadata.putObject(me.at('hot'), me.object(), any));
    expect(await other.deleteObject(me.at('hot'), seen.rev, any)).toEqual({ kind: 'deleted' });
    await Promise.all(puts);
  });

  it('is not changed by a patch that was made for a directory', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('a'), me.object(), any);
    const patch = { headers: { 'm-i': '1' }, roles: [] };
    const update = metadata.updateMetadata(me.at('a'), patch, { kind: 'directory', rev: newRev() }, any);
    expect(await update).toEqual({ kind: 'precondition' });
  });

  it('does not take a busy name for a busy shard', async () => {
    const me = anAccount();
    // A hundred commits one after the other take longer than any of them may wait for the shard.
    const impatient = region.another({ maxWaitMs: 60 });
    await impatient.putObject(me.at('hot'), me.object(), any);
    const puts = await Promise.all(
      Array.from({ length: 100 }, () => impatient.putObject(me.at('hot'), me.object(), any)),
    );
    expect(new Set(puts.map(put => put.kind))).toEqual(new Set(['replaced']));
  });

  it('answers an abort at once', async () => {
    const me = anAccount();
    const controller = new AbortController();
    const put = metadata.putObject(me.at('a'), me.object(), any, { signal: controller.signal });
    controller.abort(new Error('the client went away'));
    await expect(put).rejects.toThrow('the client went away');
  });
});

describe('names', () => {
  it('are distinct when they differ in normal form, and sort by their bytes', async () => {
    const me = anAccount();
    const names = ['a', 'Z', 'é', 'e\u0301', 'año', 'an\u0303o', '%41', ' ', '\u{1F600}'];
    for (const name of names) await metadata.putObject(me.at(name), me.object(), any);
    const page = await metadata.list(childrenOf(me.at()), { sort: 'name', reverse: false, limit: 100 });
    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(page.entries.map(entry => entry.name)).toEqual(sorted);
    expect(sorted.indexOf('Z')).toBeLessThan(sorted.indexOf('a'));
    expect(sorted.indexOf('a')).toBeLessThan(sorted.indexOf('é'));
  });

  it('may be as long as the limits allow', async () => {
    const me = anAccount();
    const long = 'n'.repeat(1024);
    let place = me.at(long);
    for (const segments of [[long], [long, long], [long, long, long]]) {
      place = me.at(...segments);
      expect((await metadata.mkdir(place, me.directory(), any)).kind).toBe('created');
    }
    const last = 'x'.repeat(4096 - Buffer.byteLength(childrenOf(place)) - 1);
    const leaf = me.at(long, long, long, last);
    expect((await metadata.putObject(leaf, me.object(), any)).kind).toBe('created');
    expect((await objectAt(leaf)).sizeBytes).toBe(5);
  });
});

describe('changing and deleting an entry', () => {
  it('replaces what clients may change and keeps the rest', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('a'), me.object({ headers: { 'm-old': '1' }, contentDisposition: 'inline' }), any);
    const before = await objectAt(me.at('a'));
    const updated = await metadata.updateMetadata(me.at('a'), { headers: { 'm-new': '2' }, roles: [] }, before);
    expect(updated.kind).toBe('updated');
    const after = await objectAt(me.at('a'));
    const { contentDisposition: _dropped, ...kept } = before;
    expect(after).toEqual({ ...kept, headers: { 'm-new': '2' }, rev: after.rev, mtimeMs: after.mtimeMs });
    expect(after.rev).not.toBe(before.rev);
    expect(await garbageOf(me)).toEqual([]);
  });

  it('refuses a version that is gone', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('a'), me.object(), any);
    expect(
      await metadata.updateMetadata(me.at('a'), { headers: {}, roles: [] }, { kind: 'object', rev: newRev() }),
    ).toEqual({
      kind: 'precondition',
    });
    expect(await metadata.deleteObject(me.at('a'), newRev())).toEqual({ kind: 'precondition' });
    expect(await metadata.deleteObject(me.at('b'), newRev())).toEqual({ kind: 'absent' });
    expect(
      await metadata.updateMetadata(me.at('b'), { headers: {}, roles: [] }, { kind: 'object', rev: newRev() }),
    ).toEqual({ kind: 'absent' });
  });

  it('deletes an object once and queues its bytes', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('a'), me.object(), any);
    const { rev, objectId } = await objectAt(me.at('a'));
    const deletes = await Promise.all([1, 2, 3].map(() => metadata.deleteObject(me.at('a'), rev)));
    expect(deletes.map(deleted => deleted.kind).sort()).toEqual(['absent', 'absent', 'deleted']);
    expect(await garbageOf(me)).toEqual([{ object_id: objectId, queue: 'fast' }]);
  });

  it('does not delete a directory as an object', async () => {
    const me = anAccount();
    await metadata.mkdir(me.at('d'), me.directory(), any);
    const entry = await metadata.get(me.at('d'));
    expect(await metadata.deleteObject(me.at('d'), entry?.rev ?? newRev())).toEqual({ kind: 'is_directory' });
  });

  it('gives a root an entry of its own and keeps its children', async () => {
    const me = anAccount();
    await metadata.putObject(me.at('a'), me.object(), any);
    for (const value of ['1', '2']) {
      const put = await metadata.putRoot(me.at(), me.directory({ headers: { 'm-root': value } }));
      expect(put.kind).toBe('updated');
      expect(await metadata.get(me.at())).toMatchObject({ kind: 'directory', headers: { 'm-root': value } });
    }
    expect((await metadata.list(childrenOf(me.at()), { sort: 'name', reverse: false, limit: 9 })).total).toBe(1);
  });

  it('remembers abandoned bytes', async () => {
    const me = anAccount();
    const objectId = newUuid();
    await metadata.abandon(me.at('a'), { objectId, creator: me.uuid, owner: me.uuid, copies: [1], sizeBytes: 7 });
    expect(await garbageOf(me)).toEqual([{ object_id: objectId, queue: 'abandoned' }]);
  });
});

describe('many mutations at once', () => {
  it('keep counters, outbox and directories exact, without a deadlock', async () => {
    const me = anAccount();
    const other = region.another();
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
    const failures: unknown[] = [];
    const workers = Array.from({ length: 24 }, async (_, worker) => {
      const m = worker % 2 === 0 ? metadata : other;
      for (let i = 0; i < 40; i += 1) {
        const place = me.at(names[(worker * 7 + i * 3) % names.length] as string);
        const target = me.at(names[(worker * 5 + i * 11) % names.length] as string);
        try {
          const entry = await m.get(place);
          if (entry?.kind !== 'object' || i % 4 === 0) await m.putObject(place, me.object({ sizeBytes: i + 1 }), any);
          else if (i % 4 === 1) await m.deleteObject(place, entry.rev);
          else if (i % 4 === 2) await m.updateMetadata(place, { headers: { 'm-i': `${i}` }, roles: [] }, entry);
          else await m.link(place, entry, target, { owner: me.uuid, roles: [] });
        } catch (error) {
          failures.push(error);
        }
      }
    });
    await Promise.all(workers);
    expect(failures).toEqual([]);
    expect(await inconsistencies(region.databases)).toEqual([]);
  });

  it('fail alone when the database refuses them', async () => {
    const me = anAccount();
    const good = Array.from({ length: 20 }, (_, i) => metadata.putObject(me.at(`g${i}`), me.object(), any));
    // Sixteen bytes are what the schema asks of a digest.
    const bad = metadata.putObject(me.at('bad'), me.object({ md5: 'AAAA' }), any);
    const more = Array.from({ length: 20 }, (_, i) => metadata.putObject(me.at(`h${i}`), me.object(), any));
    await expect(bad).rejects.toMatchObject({ code: 'InternalError' });
    const kinds = (await Promise.all([...good, ...more])).map(put => put.kind);
    expect(kinds).toEqual(Array(40).fill('created'));
    expect(await metadata.get(me.at('bad'))).toBeUndefined();
  });
});

describe('a namespace', () => {
  it('uses both shards', async () => {
    const me = anAccount();
    const shards = new Set<number>();
    for (let i = 0; i < 24; i += 1) {
      await metadata.mkdir(me.at(`d${i}`), me.directory(), any);
      await metadata.putObject(me.at(`d${i}`, 'x'), me.object(), any);
      shards.add(vnodeOf(childrenOf(me.at(`d${i}`))) < 65_536 ? 1 : 2);
    }
    expect(shards.size).toBe(2);
    const counts = await Promise.all(
      region.databases.superuser.index.map(target =>
        queryOnce<{ n: number }>(target, 'SELECT count(*)::int AS n FROM entry WHERE owner = $1', [me.uuid]),
      ),
    );
    for (const [row] of counts) expect(row?.n).toBeGreaterThan(0);
  });

  it('is available once every shard has answered', async () => {
    const me = anAccount();
    await metadata.get(me.at('a'));
    await eventually(() => metadata.isAvailable());
    expect(metadata.isAvailable()).toBe(true);
  });

  it('lists a directory that nobody has written to as empty', async () => {
    const page = await metadata.list(`/${newUuid()}/stor` as DirPath, { sort: 'name', reverse: false, limit: 5 });
    expect(page).toEqual({ entries: [], total: 0 });
  });
});
