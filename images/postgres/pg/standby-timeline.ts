import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Lsn, lsn } from '../../../lib/shard/lsn.ts';
import { historiesAbove, isPlaceholder, parseHistory } from './history-file.ts';
import { segmentName } from './wal-position.ts';

/** What is known of a server in recovery. */
export interface RecoveryPoint {
  /** The least it can be, by control file and receiver. */
  readonly atLeast: number;
  /** The end of what it received or replayed. */
  readonly position: Lsn;
  readonly segmentBytes: number;
}

/**
 * The timeline of the last byte that a standby holds. PostgreSQL shows it nowhere while nobody streams: the control file
 * learns of a switch at the next restart point. It is the newest timeline that had begun before the position and whose
 * WAL file with the last byte is there. The file decides, not the history alone: a standby that has gone beyond a fork
 * knows the new timeline's history too, and yet holds none of its WAL.
 */
export async function standbyTimeline(walDirectory: string, point: RecoveryPoint): Promise<number> {
  const histories = await historiesAbove(walDirectory, point.atLeast);
  const last = lsn(point.position > 0n ? point.position - 1n : 0n);
  for (const { timeline, text } of [...histories].reverse()) {
    if (isPlaceholder(text)) continue;
    const begin = parseHistory(text).at(-1)?.end;
    if (begin === undefined || begin >= point.position) continue;
    if (await exists(join(walDirectory, segmentName(timeline, last, point.segmentBytes)))) return timeline;
  }
  return point.atLeast;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
