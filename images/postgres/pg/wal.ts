import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { formatLsn, type Lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { Binaries } from './binaries.ts';
import { run } from './command.ts';
import { ancestryOf } from './history-file.ts';
import { recordEnd, recordStart, segmentName } from './wal-position.ts';

/** What reading WAL takes. */
export interface WalReader {
  readonly binaries: Binaries;
  readonly account: ServerAccount;
}

/** A WAL record as pg_waldump prints it. */
export interface WalRecord {
  readonly start: Lsn;
  readonly end: Lsn;
  readonly description: string;
}

const RECORD = /len \(rec\/tot\):\s*\d+\/\s*(\d+),.*lsn: ([0-9A-F]+\/[0-9A-F]+),/;
/** How pg_waldump says that the WAL ends before a complete record. */
const NONE =
  /could not find a valid record after|could not (find|open) file|could not read (from )?file|error in WAL record/;

/**
 * The complete record that begins at a position of a timeline; undefined when the WAL ends before one. The file of an
 * ancestor is read where the timeline's own does not reach back to the position. Throws MantaError `WalUnreadable` when
 * the WAL cannot be looked at, which says nothing.
 */
export async function recordAt(
  { binaries, account }: WalReader,
  walDirectory: string,
  at: { readonly timeline: number; readonly position: Lsn; readonly segmentBytes: number },
  signal?: AbortSignal,
): Promise<WalRecord | undefined> {
  const start = recordStart(at.position, at.segmentBytes);
  const timeline = await timelineWith(walDirectory, at.timeline, start, at.segmentBytes);
  if (timeline === undefined) return undefined;
  const args = ['-p', walDirectory, '-t', String(timeline), '-s', formatLsn(start), '-n', '1'];
  const outcome = await run(account, binaries.path('pg_waldump'), args, signal === undefined ? {} : { signal });
  const line = outcome.stdout.split('\n').find(text => text.startsWith('rmgr: '));
  const match = RECORD.exec(line ?? '');
  if (line === undefined || match === null) {
    if (line === undefined && NONE.test(outcome.stderr)) return undefined;
    throw new MantaError('WalUnreadable', `pg_waldump at ${formatLsn(start)}: ${outcome.stderr.trim() || line}`);
  }
  const found = parseLsn(match[2] ?? '');
  if (found !== start) return undefined;
  return { start, end: recordEnd(start, Number(match[1]), at.segmentBytes), description: line };
}

/** The newest of a timeline and its ancestors whose file with the position is there. */
async function timelineWith(
  walDirectory: string,
  timeline: number,
  position: Lsn,
  segmentBytes: number,
): Promise<number | undefined> {
  const ancestors = await ancestryOf(walDirectory, timeline);
  for (const candidate of [timeline, ...ancestors.map(ancestor => ancestor.timeline).reverse()]) {
    try {
      await access(join(walDirectory, segmentName(candidate, position, segmentBytes)));
      return candidate;
    } catch {
      // It begins later, or has not come this far.
    }
  }
  return undefined;
}

/**
 * Where the complete records end that begin at a position: what a standby that was stopped would replay. Reads one
 * record after the other only as far as the WAL goes. Abort rejects with its reason.
 */
export async function endOfRecords(
  reader: WalReader,
  walDirectory: string,
  from: { readonly timeline: number; readonly position: Lsn; readonly segmentBytes: number },
): Promise<Lsn> {
  const timeline = await timelineWith(walDirectory, from.timeline, from.position, from.segmentBytes);
  if (timeline === undefined) return from.position;
  const args = [
    '-p',
    walDirectory,
    '-t',
    String(timeline),
    '-s',
    formatLsn(recordStart(from.position, from.segmentBytes)),
  ];
  const outcome = await run(reader.account, reader.binaries.path('pg_waldump'), args);
  const last = outcome.stdout.split('\n').findLast(text => text.startsWith('rmgr: ') && RECORD.test(text));
  const match = RECORD.exec(last ?? '');
  if (match === null) {
    if (NONE.test(outcome.stderr)) return from.position;
    throw new MantaError('WalUnreadable', `pg_waldump at ${formatLsn(from.position)}: ${outcome.stderr.trim()}`);
  }
  return recordEnd(parseLsn(match[2] ?? ''), Number(match[1]), from.segmentBytes);
}
