import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { type Lsn, lsn } from '../../../lib/shard/lsn.ts';
import { historyName, parseHistory } from '../pg/history-file.ts';
import { isLater, isSegmentOn, newestSegment, storedSegments, type TimelinePath } from './catalogue.ts';
import { compressed } from './compression.ts';
import { historyPath, type SegmentName, segmentPath } from './names.ts';
import { isReceived, type Spool, type Spooled } from './spool.ts';
import type { BackupTarget } from './target.ts';

/** How far the archive reaches. */
export interface ArchivedThrough {
  readonly timeline: number;
  readonly position: Lsn;
}

/** Moves WAL from the spool to the target. */
export interface Archive {
  /**
   * Finds where the target's archive ends on this path, archives what the spool still holds of the WAL behind, and leaves
   * it ready for a receiver. Resolves with the file it goes on behind; undefined: it begins anew.
   */
  resume(path: TimelinePath, signal: AbortSignal): Promise<SegmentName | undefined>;
  /** Files of WAL that are complete. Resolves with how many there were. */
  complete(signal: AbortSignal): Promise<number>;
  /** The one in progress, as far as it has come. */
  progress(signal: AbortSignal): Promise<void>;
  /** Undefined until something was archived since the last `resume`. */
  through(): ArchivedThrough | undefined;
  /** The segments that wait. */
  waiting(): Promise<number>;
}

export function createArchive({ target, spool }: { readonly target: BackupTarget; readonly spool: Spool }): Archive {
  const { segmentBytes } = spool;
  // Compressed, what cannot be made shorter is a little longer.
  const maxBytes = segmentBytes + 1024 * 1024;
  const begin = ({ number }: SegmentName) => number * BigInt(segmentBytes);
  /** The last complete one; it stays in the spool, where it tells the receiver where to go on. */
  let last: SegmentName | undefined;
  let partial: SegmentName | undefined;
  let through: ArchivedThrough | undefined;
  const histories = new Set<number>([1]);
  const checked = new Set<number>([1]);

  const isDone = (file: SegmentName) => last !== undefined && !isLater(file, last);

  /** Two databases that were one may go on under the same number: what is there already is of one of them. */
  async function demandOwn(timeline: number, signal: AbortSignal): Promise<void> {
    if (checked.has(timeline)) return;
    const mine = await spool.history(historyName(timeline));
    const stored = await target.get(historyPath(timeline), signal);
    if (mine !== undefined && stored !== undefined) {
      if ((await text(stored)) !== mine)
        throw new MantaError('ForeignData', `another shard archives its timeline ${timeline} to ${target.url}`);
      histories.add(timeline);
    } else stored?.destroy();
    checked.add(timeline);
  }

  /**
   * A timeline counts once its WAL reaches beyond the fork: a history that came first would turn a restore away from the
   * WAL of before.
   */
  async function isBeyondFork({ timeline, position }: ArchivedThrough): Promise<boolean> {
    if (histories.has(timeline)) return true;
    const mine = await spool.history(historyName(timeline));
    const fork = mine === undefined ? undefined : parseHistory(mine).at(-1)?.end;
    return fork !== undefined && position >= fork;
  }

  async function advance(next: ArchivedThrough, signal: AbortSignal): Promise<void> {
    const { timeline } = next;
    const mine = histories.has(timeline) ? undefined : await spool.history(historyName(timeline));
    if (mine !== undefined && (await isBeyondFork(next))) {
      await target.put(historyPath(timeline), Readable.from([mine]), { maxBytes: Buffer.byteLength(mine) }, signal);
      histories.add(timeline);
    }
    through = next;
  }

  async function upload(file: Spooled, signal: AbortSignal): Promise<void> {
    await demandOwn(file.timeline, signal);
    const { timeline, number } = file;
    const content = compressed(createReadStream(file.path));
    await target.put(segmentPath({ timeline, number }, segmentBytes), content, { maxBytes }, signal);
    await advance({ timeline, position: lsn(begin({ timeline, number: number + 1n })) }, signal);
  }

  /** What was in progress is in the complete file, or in a longer one. */
  async function forgetPartial(replacedBy: SegmentName | undefined, signal: AbortSignal): Promise<void> {
    const before = partial;
    partial = replacedBy;
    if (before !== undefined) await target.remove(segmentPath(before, segmentBytes), signal);
  }

  /** Complete ones of those that wait. What another timeline has overtaken will never be. */
  async function ready(): Promise<readonly Spooled[]> {
    return (await spool.files()).filter(file => file.isComplete && !isDone(file));
  }

  async function complete(signal: AbortSignal): Promise<number> {
    const files = await ready();
    for (const file of files) {
      if (!(await isReceived(file, segmentBytes))) continue;
      await upload(file, signal);
      last = { timeline: file.timeline, number: file.number };
      if (partial !== undefined && !isLater(partial, last)) await forgetPartial(undefined, signal);
    }
    for (const file of await spool.files()) {
      const isLast = last?.timeline === file.timeline && last.number === file.number;
      if (file.isComplete && isDone(file) && !isLast) await spool.remove(file);
    }
    return files.length;
  }

  return {
    complete,
    through: () => through,
    waiting: async () => (await ready()).length,
    async resume(path, signal) {
      through = undefined;
      partial = undefined;
      const archived = await newestSegment(target, path, segmentBytes, signal);
      last = archived;
      let next = archived;
      // What had been received when this process, or its predecessor, ended; the server may not have it any more.
      for (const file of await ready()) {
        const follows = next === undefined || file.number === next.number + 1n;
        if (!follows || !isSegmentOn(path, file, segmentBytes) || !(await isReceived(file, segmentBytes))) continue;
        await upload(file, signal);
        next = { timeline: file.timeline, number: file.number };
      }
      last = next;
      await spool.beginAfter(next);
      partial = await longestPartial(target, next, segmentBytes, signal);
      return next;
    },
    async progress(signal) {
      const file = (await spool.files()).at(-1);
      if (file === undefined || file.isComplete || !(await isReceived(file, segmentBytes))) return;
      const content = await readFile(file.path);
      const endByte = endOf(content);
      const { timeline, number } = file;
      const now = { timeline, number, endByte };
      const reached = { timeline, position: lsn(begin(file) + BigInt(endByte)) };
      if (!(await isBeyondFork(reached))) return;
      const isSame = partial?.timeline === timeline && partial.number === number;
      const isLonger = !isSame || (partial?.endByte ?? 0) < endByte;
      if (isLonger) {
        await demandOwn(timeline, signal);
        const stored = compressed(Readable.from([content], { objectMode: false }));
        await target.put(segmentPath(now, segmentBytes), stored, { maxBytes }, signal);
      }
      await advance(reached, signal);
      if (isLonger) await forgetPartial(now, signal);
    },
  };
}

/** Of the file that another peer had in progress: this one will replace it. */
async function longestPartial(
  target: BackupTarget,
  last: SegmentName | undefined,
  segmentBytes: number,
  signal: AbortSignal,
): Promise<SegmentName | undefined> {
  if (last === undefined) return undefined;
  const next = { timeline: last.timeline, number: last.number + 1n };
  const directory = segmentPath(next, segmentBytes).split('/')[1] ?? '';
  return (await storedSegments(target, directory, segmentBytes, signal))
    .filter(({ number, timeline, endByte }) => number === next.number && timeline === next.timeline && endByte)
    .sort((a, b) => (b.endByte ?? 0) - (a.endByte ?? 0))[0];
}

const BLOCK = Buffer.alloc(64 * 1024);

/** Behind the last byte that was received: what is not there yet is zero. */
function endOf(content: Buffer): number {
  let end = content.length;
  while (end >= BLOCK.length && content.subarray(end - BLOCK.length, end).equals(BLOCK)) end -= BLOCK.length;
  while (end > 0 && content[end - 1] === 0) end -= 1;
  return end;
}
