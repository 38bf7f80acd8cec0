import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLsn } from '../../../lib/shard/lsn.ts';
import { parseControlData } from './control.ts';
import { ancestryOf, parseHistory } from './history-file.ts';
import { placePlaceholders, removePlaceholders } from './promotion.ts';
import { standbyTimeline } from './standby-timeline.ts';
import { recordEnd, recordStart, segmentName } from './wal-position.ts';

const SEGMENT = 16 * 1024 * 1024;
const at = parseLsn;

let wal: string;
beforeEach(() => {
  wal = mkdtempSync(join(tmpdir(), 'manta-wal-'));
});
afterEach(() => rmSync(wal, { recursive: true }));
const put = (name: string, text = '') => writeFileSync(join(wal, name), text);

describe('a WAL record', () => {
  it.each([
    ['within a page', '0/1000028', 114, '0/10000A0'],
    ['to the very end of a page', '0/1001FC8', 56, '0/1002000'],
    ['over a page header of 24 bytes', '0/1001FC8', 64, '0/1002020'],
    ['over a segment header of 40 bytes', '0/1FFFFC8', 64, '0/2000030'],
    ['over many pages', '0/1000028', 20_000, '0/1004E78'],
  ])('%s ends where PostgreSQL says', (_, start, length, end) => {
    expect(recordEnd(at(start), length, SEGMENT)).toBe(at(end));
  });

  it('begins behind the header of a page or segment', () => {
    expect(recordStart(at('0/1002000'), SEGMENT)).toBe(at('0/1002018'));
    expect(recordStart(at('0/2000000'), SEGMENT)).toBe(at('0/2000028'));
    expect(recordStart(at('0/2000100'), SEGMENT)).toBe(at('0/2000100'));
  });

  it('is in the file of its timeline and segment', () => {
    expect(segmentName(4, at('0/1FFFFFF'), SEGMENT)).toBe('000000040000000000000001');
    expect(segmentName(26, at('A/FF000000'), SEGMENT)).toBe('0000001A0000000A000000FF');
  });
});

describe('a history file', () => {
  it('lists the ancestors, oldest first', () => {
    expect(parseHistory('# note\n1\t0/3000000\tno recovery target specified\n\n2\t0/5000148\tno\n')).toEqual([
      { timeline: 1, end: at('0/3000000') },
      { timeline: 2, end: at('0/5000148') },
    ]);
  });

  it('that only holds a place is nobody’s ancestry', async () => {
    await placePlaceholders({ wrapper: [] }, wal, 1, 3);
    expect(await ancestryOf(wal, 2)).toEqual([]);
  });
});

describe('placeholders', () => {
  it('above the last real timeline are taken away, the ones below stay', async () => {
    await placePlaceholders({ wrapper: [] }, wal, 1, 4);
    put('00000004.history', '1\t0/3000000\tno recovery target specified\n');
    await placePlaceholders({ wrapper: [] }, wal, 4, 7);
    await removePlaceholders(wal, 4);
    expect(await ancestryOf(wal, 4)).toEqual([{ timeline: 1, end: at('0/3000000') }]);
    // Numbers 5 and 6 are free again.
    put('00000005.history', '4\t0/4000000\tno recovery target specified\n');
    await removePlaceholders(wal, 1);
    expect(await ancestryOf(wal, 5)).toEqual([{ timeline: 4, end: at('0/4000000') }]);
  });
});

describe('the timeline of a standby', () => {
  const found = (position: string, atLeast = 1) =>
    standbyTimeline(wal, { atLeast, position: at(position), segmentBytes: SEGMENT });
  beforeEach(() => {
    put('000000010000000000000003');
    put('00000002.history', '1\t0/3000000\tno recovery target specified\n');
  });

  it('is the new one once WAL of it is there', async () => {
    put('000000020000000000000003');
    expect(await found('0/3000100')).toBe(2);
  });

  it('is the old one up to the fork', async () => {
    put('000000020000000000000003');
    expect(await found('0/3000000')).toBe(1);
  });

  it('is the old one beyond the fork when none of the new one’s WAL is there: it is another history', async () => {
    expect(await found('0/3000100')).toBe(1);
  });

  it('is never less than what the control file says', async () => {
    expect(await found('0/3000100', 2)).toBe(2);
  });
});

it('the control file says the timeline of a promotion before its first checkpoint', () => {
  const text = [
    'Database system identifier:           7711957991247592503',
    'Database cluster state:               in production',
    'Latest checkpoint location:           0/2000028',
    "Latest checkpoint's TimeLineID:       1",
    'Minimum recovery ending location:     0/3000148',
    "Min recovery ending loc's timeline:   4",
    'Bytes per WAL segment:                16777216',
  ];
  expect(parseControlData(text.join('\n'))).toEqual({
    systemId: '7711957991247592503',
    state: 'in production',
    checkpoint: at('0/2000028'),
    timeline: 4,
    minRecoveryEnd: at('0/3000148'),
    segmentBytes: SEGMENT,
  });
  expect(() => parseControlData(text.slice(1).join('\n'))).toThrow('Database system identifier');
});
