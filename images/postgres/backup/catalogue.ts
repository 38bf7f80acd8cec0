import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { type Lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import { lsnText } from '../../../lib/shard/state.ts';
import { type Ancestor, parseHistory } from '../pg/history-file.ts';
import {
  BASES,
  baseMark,
  historyPath,
  parseHistoryFile,
  parseStoredSegment,
  parseWalDirectory,
  type SegmentName,
  SYSTEM,
  TIMELINES,
  WAL,
} from './names.ts';
import { type BackupTarget, getJson, putJson } from './target.ts';

const systemSchema = z.object({
  v: z.literal(1),
  systemId: z.string(),
  pgMajor: z.int(),
  segmentBytes: z.int().positive(),
});
/** Of which database a target holds the backups. */
export type SystemFacts = Readonly<z.infer<typeof systemSchema>>;

const baseSchema = z.looseObject({
  v: z.literal(1),
  name: z.string(),
  startedAt: z.iso.datetime(),
  /** Nothing later is in it: it can be restored to any time from here on. */
  endedAt: z.iso.datetime(),
  timeline: z.int(),
  /** Its WAL: replay from here... */
  startLsn: lsnText,
  /** ...at least to here makes it whole. */
  stopLsn: lsnText,
  /** Of the data directory. */
  sizeBytes: z.int(),
  /** Of the peer that made it. */
  peer: z.string(),
});
/** A base backup that counts. */
export type BaseBackup = Readonly<z.infer<typeof baseSchema>>;

/** One line of WAL from the first timeline to this one. */
export interface TimelinePath {
  readonly timeline: number;
  /** Where each ancestor ended, oldest first. */
  readonly ancestry: readonly Ancestor[];
}

/** Undefined: the target is empty. Throws MantaError `ForeignData` when it holds something else than backups. */
export async function readSystem(target: BackupTarget, signal: AbortSignal): Promise<SystemFacts | undefined> {
  try {
    return await getJson(target, SYSTEM, systemSchema, signal);
  } catch (cause) {
    // By name: errors of another realm are not instances of this one's.
    if (!['ZodError', 'SyntaxError'].includes((cause as Error).name)) throw cause;
    throw new MantaError('ForeignData', `${target.url} does not hold backups of a shard`, { cause });
  }
}

/** Makes a target one of this database. Throws MantaError `ForeignData` when it is another's. */
export async function claimTarget(target: BackupTarget, mine: SystemFacts, signal: AbortSignal): Promise<void> {
  const found = await readSystem(target, signal);
  if (found === undefined) return putJson(target, SYSTEM, mine, signal);
  if (found.systemId !== mine.systemId || found.segmentBytes !== mine.segmentBytes)
    throw new MantaError('ForeignData', `${target.url} holds the backups of another database, ${found.systemId}`);
  if (found.pgMajor !== mine.pgMajor) await putJson(target, SYSTEM, mine, signal);
}

/** The base backups that count, oldest first. */
export async function listBases(target: BackupTarget, signal: AbortSignal): Promise<readonly BaseBackup[]> {
  const found: BaseBackup[] = [];
  for (const { name } of await target.list(BASES, signal)) {
    const base = await getJson(target, baseMark(name), baseSchema, signal);
    if (base !== undefined) found.push(base);
  }
  return found.sort((a, b) => a.endedAt.localeCompare(b.endedAt));
}

/** The newest timeline whose WAL was archived. The number of one that began later is always higher (replication.md §11.8). */
export async function newestPath(target: BackupTarget, signal: AbortSignal): Promise<TimelinePath> {
  const timelines = (await target.list(TIMELINES, signal)).map(({ name }) => parseHistoryFile(name) ?? 1);
  const timeline = Math.max(1, ...timelines);
  const content = timeline === 1 ? undefined : await target.get(historyPath(timeline), signal);
  return { timeline, ancestry: content === undefined ? [] : parseHistory(await text(content)) };
}

/** Where a timeline of the path ended; undefined: it is the one that goes on. Null: it is not on the path. */
function endOn(path: TimelinePath, timeline: number): Lsn | undefined | null {
  if (timeline === path.timeline) return undefined;
  return path.ancestry.find(ancestor => ancestor.timeline === timeline)?.end ?? null;
}

/** Whether a base backup is part of a path: one that saw WAL beyond a fork is not. */
export function isBaseOn(path: TimelinePath, base: BaseBackup): boolean {
  const end = endOn(path, base.timeline);
  return end !== null && (end === undefined || parseLsn(base.stopLsn) <= end);
}

/** Whether all of a complete file of WAL is part of a path. */
export function isSegmentOn(path: TimelinePath, { timeline, number }: SegmentName, segmentBytes: number): boolean {
  const end = endOn(path, timeline);
  return end !== null && (end === undefined || (number + 1n) * BigInt(segmentBytes) <= end);
}

/** The complete file of WAL on a path that the archive has come to; undefined: it holds none. */
export async function newestSegment(
  target: BackupTarget,
  path: TimelinePath,
  segmentBytes: number,
  signal: AbortSignal,
): Promise<SegmentName | undefined> {
  for (const { name } of await walDirectories(target, segmentBytes, signal)) {
    const segments = (await storedSegments(target, name, segmentBytes, signal)).filter(
      segment => segment.endByte === undefined && isSegmentOn(path, segment, segmentBytes),
    );
    if (segments.length > 0) return segments.reduce((a, b) => (isLater(b, a) ? b : a));
  }
  return undefined;
}

/**
 * The first file of WAL that the archive of a path lacks between a position and its own end; undefined: there is none, and
 * it goes on from there.
 */
export async function firstHole(
  target: BackupTarget,
  path: TimelinePath,
  from: Lsn,
  segmentBytes: number,
  signal: AbortSignal,
): Promise<SegmentName | undefined> {
  const first = from / BigInt(segmentBytes);
  const there = new Set<bigint>();
  for (const directory of await walDirectories(target, segmentBytes, signal)) {
    if (directory.last < first) continue;
    for (const segment of await storedSegments(target, directory.name, segmentBytes, signal))
      if (isSegmentOn(path, segment, segmentBytes)) there.add(segment.number);
  }
  const last = [...there].reduce((a, b) => (b > a ? b : a), first - 1n);
  for (let number = first; number < last; number += 1n)
    if (!there.has(number)) return { timeline: path.timeline, number };
  return undefined;
}

/** The directories of WAL, those of the latest positions first. */
export async function walDirectories(target: BackupTarget, segmentBytes: number, signal: AbortSignal) {
  return (await target.list(WAL, signal))
    .flatMap(({ name }) => {
      const range = parseWalDirectory(name, segmentBytes);
      return range === undefined ? [] : [{ name, ...range }];
    })
    .sort((a, b) => (a.first === b.first ? b.timeline - a.timeline : a.first < b.first ? 1 : -1));
}

/** The files of WAL in one directory, those in progress included. */
export async function storedSegments(
  target: BackupTarget,
  directory: string,
  segmentBytes: number,
  signal: AbortSignal,
): Promise<readonly SegmentName[]> {
  return (await target.list(`${WAL}/${directory}`, signal)).flatMap(
    ({ name }) => parseStoredSegment(name, segmentBytes) ?? [],
  );
}

/** Whether one file of WAL comes behind another. */
export function isLater(a: SegmentName, b: SegmentName): boolean {
  return a.number > b.number || (a.number === b.number && a.timeline > b.timeline);
}
