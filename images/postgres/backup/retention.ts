import { parseLsn } from '../../../lib/shard/lsn.ts';
import { type BaseBackup, listBases, storedSegments, walDirectories } from './catalogue.ts';
import { BASES, baseContent, baseMark, basePath, segmentPath, WAL } from './names.ts';
import type { BackupTarget } from './target.ts';

const DAY_MS = 86_400_000;
/** One without a mark may still be in the making. */
const UNFINISHED_MS = 2 * DAY_MS;

/**
 * Of base backups, oldest first, those that are needed to restore to any moment of the last days: the newest of before,
 * and all since. Never none.
 */
export function keptBases(bases: readonly BaseBackup[], since: number): readonly BaseBackup[] {
  const first = bases.findLastIndex(base => Date.parse(base.endedAt) <= since);
  return bases.slice(Math.max(0, first));
}

/**
 * Removes base backups that are not needed for the last `recoveryDays`, and WAL that none of the others needs
 * (replication.md §11.13). Histories stay: they are small, and name where each timeline forked.
 */
export async function applyRetention(
  target: BackupTarget,
  { recoveryDays, segmentBytes, now }: { recoveryDays: number; segmentBytes: number; now: number },
  signal: AbortSignal,
): Promise<void> {
  const bases = await listBases(target, signal);
  const kept = keptBases(bases, now - recoveryDays * DAY_MS);
  if (kept.length === 0) return;
  for (const base of bases) if (!kept.includes(base)) await removeBase(target, base.name, signal);
  for (const { name, modifiedAt } of await target.list(BASES, signal)) {
    const isFinished = bases.some(base => base.name === name);
    if (!isFinished && modifiedAt < now - UNFINISHED_MS) await removeBase(target, name, signal);
  }
  const starts = kept.map(({ startLsn }) => parseLsn(startLsn) / BigInt(segmentBytes));
  const first = starts.sort((a, b) => (a < b ? -1 : 1))[0] ?? 0n;
  for (const directory of await walDirectories(target, segmentBytes, signal)) {
    if (directory.first >= first) continue;
    for (const segment of await storedSegments(target, directory.name, segmentBytes, signal))
      if (segment.number < first) await target.remove(segmentPath(segment, segmentBytes), signal);
    if (directory.last < first) await target.remove(`${WAL}/${directory.name}`, signal);
  }
}

/** The mark first: what is half removed does not count. */
async function removeBase(target: BackupTarget, name: string, signal: AbortSignal): Promise<void> {
  for (const path of [baseMark(name), baseContent(name), basePath(name)]) await target.remove(path, signal);
}
