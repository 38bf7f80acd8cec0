import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { formatLsn, lsn } from '../../../lib/shard/lsn.ts';
import { type BaseBackup, claimTarget, firstHole, listBases, newestSegment, storedSegments } from './catalogue.ts';
import {
  baseContent,
  baseMark,
  historyPath,
  parseSegmentFile,
  parseStoredSegment,
  segmentFile,
  segmentPath,
} from './names.ts';
import { openTarget } from './open-target.ts';
import { parseTime, planRestore } from './restore-plan.ts';
import { applyRetention, keptBases } from './retention.ts';
import { type BackupTarget, putJson } from './target.ts';

const SEGMENT = 16 * 1024 * 1024;
const DAY = 86_400_000;
const NOW = Date.parse('2026-02-01T00:00:00Z');
const signal = AbortSignal.timeout(60_000);
const at = (segment: number) => formatLsn(lsn(BigInt(segment) * BigInt(SEGMENT)));

const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** A target with files of WAL, each named `timeline:number` or `timeline:number:bytes`, and base backups. */
async function aTarget(wal: readonly string[], bases: readonly BaseBackup[] = [], forks: Record<number, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'manta-catalogue-'));
  made.push(directory);
  const target = openTarget(directory);
  const put = (path: string, text = 'x') => target.put(path, Readable.from([text]), { maxBytes: text.length }, signal);
  await claimTarget(target, { v: 1, systemId: '1', pgMajor: 15, segmentBytes: SEGMENT }, signal);
  for (const text of wal) {
    const [timeline = 1, number = 0, endByte] = text.split(':').map(Number);
    await put(segmentPath({ timeline, number: BigInt(number), endByte }, SEGMENT));
  }
  for (const base of bases) {
    await put(baseContent(base.name));
    await putJson(target, baseMark(base.name), base, signal);
  }
  for (const [timeline, text] of Object.entries(forks)) await put(historyPath(Number(timeline)), text);
  return target;
}

function aBase(daysAgo: number, fields: Partial<BaseBackup> = {}): BaseBackup {
  const endedAt = new Date(NOW - daysAgo * DAY).toISOString();
  const where = { timeline: 1, startLsn: at(100 - daysAgo), stopLsn: at(100 - daysAgo) };
  return {
    v: 1,
    name: `base-${daysAgo}`,
    startedAt: endedAt,
    endedAt,
    sizeBytes: 1,
    peer: 'pg-1-2',
    ...where,
    ...fields,
  };
}

async function numbers(target: BackupTarget, directory = '0000000100000000') {
  return (await storedSegments(target, directory, SEGMENT, signal))
    .map(({ number }) => Number(number))
    .sort((a, b) => a - b);
}

it('every file of WAL has one name, and its name says which it is', () => {
  const sizes = fc.constantFrom(1, 16, 1024).map(mebibytes => mebibytes * 1024 * 1024);
  const segments = fc.record({
    timeline: fc.integer({ min: 1, max: 0xffff_ffff }),
    number: fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
    endByte: fc.option(fc.integer({ min: 1, max: SEGMENT }), { nil: undefined }),
  });
  fc.assert(
    fc.property(segments, sizes, ({ timeline, number, endByte }, size) => {
      const file = segmentFile({ timeline, number }, size);
      expect(parseSegmentFile(file, size)).toEqual({ timeline, number });
      const [, directory = '', name = ''] = segmentPath({ timeline, number, endByte }, size).split('/');
      expect(file.startsWith(directory)).toBe(true);
      expect({ endByte: undefined, ...parseStoredSegment(name, size) }).toEqual({ timeline, number, endByte });
    }),
  );
  expect(segmentFile({ timeline: 3, number: 0x1_05n }, SEGMENT)).toBe('000000030000000100000005');
});

it('the archive goes on behind the last complete file of its own line, not behind what another fork wrote', async () => {
  const target = await aTarget(['1:5', '1:6', '1:7', '1:8', '2:7', '2:8:123']);
  const end = lsn(7n * BigInt(SEGMENT) + 5n);
  const forked = { timeline: 2, ancestry: [{ timeline: 1, end }] };
  expect(await newestSegment(target, forked, SEGMENT, signal)).toEqual({ timeline: 2, number: 7n });
  expect(await newestSegment(target, { timeline: 1, ancestry: [] }, SEGMENT, signal)).toEqual({
    timeline: 1,
    number: 8n,
  });
  const later = { timeline: 3, ancestry: [{ timeline: 1, end }] };
  expect(await newestSegment(target, later, SEGMENT, signal)).toEqual({ timeline: 1, number: 6n });
  expect(await newestSegment(target, { timeline: 9, ancestry: [] }, SEGMENT, signal)).toBeUndefined();
});

it('a hole is a file that lacks between two that are there', async () => {
  const target = await aTarget(['1:5', '1:6', '1:8', '1:9:44']);
  const path = { timeline: 1, ancestry: [] };
  const from = (number: bigint) => firstHole(target, path, lsn(number * BigInt(SEGMENT)), SEGMENT, signal);
  expect(await from(5n)).toEqual({ timeline: 1, number: 7n });
  expect(await from(8n)).toBeUndefined();
  expect(await from(20n)).toBeUndefined();
});

it('base backups are kept that the last days need, and the last one always', () => {
  const names = (days: readonly number[], keep: number) =>
    keptBases(
      days.map(day => aBase(day)),
      NOW - keep * DAY,
    ).map(({ name }) => name);
  expect(names([20, 15, 13, 1], 14)).toEqual(['base-15', 'base-13', 'base-1']);
  expect(names([40, 30], 14)).toEqual(['base-30']);
  expect(names([3, 2], 14)).toEqual(['base-3', 'base-2']);
  expect(names([], 14)).toEqual([]);
});

it('retention removes what no base backup that is kept needs, on every timeline', async () => {
  const target = await aTarget(['1:70', '1:84', '1:85', '1:86', '2:80', '2:90'], [aBase(30), aBase(15), aBase(1)]);
  await applyRetention(target, { recoveryDays: 14, segmentBytes: SEGMENT, now: NOW }, signal);
  expect((await listBases(target, signal)).map(({ name }) => name)).toEqual(['base-15', 'base-1']);
  expect(await target.list('base/base-30', signal)).toEqual([]);
  expect(await numbers(target)).toEqual([85, 86]);
  expect(await numbers(target, '0000000200000000')).toEqual([90]);
});

it('retention removes nothing while no base backup counts', async () => {
  const target = await aTarget(['1:70', '1:84']);
  await applyRetention(target, { recoveryDays: 1, segmentBytes: SEGMENT, now: NOW }, signal);
  expect(await numbers(target)).toEqual([70, 84]);
});

it('a restore starts from the newest base backup before the time that is on the newest timeline', async () => {
  const fork = { 2: `1\t${at(97)}\tno recovery target specified\n` };
  const strayed = aBase(1, { stopLsn: at(99) });
  const target = await aTarget(['1:95', '1:96', '2:97'], [aBase(5), aBase(3, { stopLsn: at(97) }), strayed], fork);
  const base = async (until?: string) => (await planRestore(target, until, signal)).base.name;
  expect(await base()).toBe('base-3');
  expect((await planRestore(target, undefined, signal)).path.timeline).toBe(2);
  expect(await base('2026-01-29T00:00:00Z')).toBe('base-3');
  expect(await base('2026-01-28T23:59:59Z')).toBe('base-5');
  await expect(base('2026-01-01T00:00:00Z')).rejects.toMatchObject({ code: 'BackupMissing' });
});

it('a target of another database is neither written nor restored by mistake', async () => {
  const target = await aTarget([]);
  const other = { v: 1, systemId: '2', pgMajor: 15, segmentBytes: SEGMENT } as const;
  await expect(claimTarget(target, other, signal)).rejects.toMatchObject({ code: 'ForeignData' });
  await target.put('system.json', Readable.from(['no JSON']), { maxBytes: 7 }, signal);
  await expect(planRestore(target, undefined, signal)).rejects.toMatchObject({ code: 'ForeignData' });
});

it('a time without its offset is refused', () => {
  expect(parseTime('2026-01-31T12:00:00Z')).toBe(Date.UTC(2026, 0, 31, 12));
  expect(parseTime('2026-01-31 12:00:00.123456+02:00')).toBe(Date.UTC(2026, 0, 31, 10, 0, 0, 123));
  for (const text of ['2026-01-31T12:00:00', 'yesterday', '2026-13-01T00:00:00Z', "2026-01-31T12:00:00Z' x"])
    expect(() => parseTime(text)).toThrow(expect.objectContaining({ code: 'InvalidParameter' }));
});
