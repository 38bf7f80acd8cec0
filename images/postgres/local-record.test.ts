import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLocalRecord } from './local-record.ts';

let dir: string;
const path = () => join(dir, 'sitter', 'local.json');
const owner = { shard: 1, id: 'pg-1-0', session: 'a' };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manta-local-record-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('what was saved is there for the next process, which learns the session of the one before', async () => {
  const first = await openLocalRecord(path(), owner);
  expect(first.previousSession).toBeUndefined();
  await first.save({ incarnation: 'i1', systemId: '7', promotedTimelines: [{ generation: 2, timeline: 2 }] });

  const second = await openLocalRecord(path(), { ...owner, session: 'b' });
  expect(second.previousSession).toBe('a');
  expect(second.current()).toMatchObject({ incarnation: 'i1', systemId: '7' });
  expect(second.current().promotedTimelines).toEqual([{ generation: 2, timeline: 2 }]);
  expect(await readdir(join(dir, 'sitter'))).toEqual(['local.json']);
});

test('high-water marks never fall, whatever is saved', async () => {
  const record = await openLocalRecord(path(), owner);
  await record.save({ highWater: { maxGeneration: 5, maxSeq: 9, lastRole: 'primary', lastTimeline: 3 } });
  await record.save({ highWater: { maxGeneration: 4, maxSeq: 8, lastRole: 'async', lastTimeline: 2 } });
  const expected = { maxGeneration: 5, maxSeq: 9, lastRole: 'async', lastTimeline: 3 };
  expect(record.current().highWater).toEqual(expected);
  expect((await openLocalRecord(path(), owner)).current().highWater).toEqual(expected);
});

test('saves that overlap all count', async () => {
  const record = await openLocalRecord(path(), owner);
  await Promise.all([record.save({ incarnation: 'i1' }), record.save({ systemId: '7' })]);
  expect((await openLocalRecord(path(), owner)).current()).toMatchObject({ incarnation: 'i1', systemId: '7' });
});

test('nothing is believed before it is durable', async () => {
  const record = await openLocalRecord(path(), owner);
  await rm(join(dir, 'sitter'), { recursive: true });
  await expect(record.save({ incarnation: 'i1' })).rejects.toMatchObject({ code: 'ENOENT' });
  expect(record.current().incarnation).toBeNull();
});

test.each(['', 'null', '{"v":1}', '{"v":2,"shard":1}'])('a file that is not a record is refused: %j', async content => {
  await openLocalRecord(path(), owner);
  await writeFile(path(), content);
  await expect(openLocalRecord(path(), owner)).rejects.toMatchObject({ code: 'LocalRecordUnreadable' });
  expect(await readFile(path(), 'utf8')).toBe(content);
});

test("another peer's volume is refused", async () => {
  await openLocalRecord(path(), owner);
  await expect(openLocalRecord(path(), { ...owner, id: 'pg-1-1' })).rejects.toMatchObject({ code: 'VolumeMismatch' });
});

test('what is there already is not written again', async () => {
  const record = await openLocalRecord(path(), owner);
  await record.save({ incarnation: 'i1', promotedTimelines: [{ generation: 2, timeline: 2 }] });
  const { ino } = await stat(path());
  await record.save({ promotedTimelines: [{ generation: 2, timeline: 2 }] });
  expect((await stat(path())).ino).toBe(ino);
  await record.save({ systemId: '7' });
  expect((await stat(path())).ino).not.toBe(ino);
});
