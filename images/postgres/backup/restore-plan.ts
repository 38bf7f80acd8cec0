import { MantaError } from '../../../lib/errors/manta-error.ts';
import { formatLsn, lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import {
  type BaseBackup,
  firstHole,
  isBaseOn,
  listBases,
  newestPath,
  readSystem,
  type SystemFacts,
  type TimelinePath,
} from './catalogue.ts';
import type { BackupTarget } from './target.ts';

/** From which base backup a restore starts, and along which timeline it replays. */
export interface RestorePlan {
  readonly system: SystemFacts;
  readonly base: BaseBackup;
  readonly path: TimelinePath;
  /** Where WAL is missing that the archive holds more behind; undefined: nowhere. */
  readonly hole: string | undefined;
}

/**
 * The newest base backup before the wanted time that lies on the newest timeline (replication.md §11.13). Throws MantaError
 * `InvalidParameter` for a time that is none, `BackupMissing` where nothing can be restored to it.
 */
export async function planRestore(
  target: BackupTarget,
  until: string | undefined,
  signal: AbortSignal,
): Promise<RestorePlan> {
  const time = until === undefined ? Number.POSITIVE_INFINITY : parseTime(until);
  const system = await readSystem(target, signal);
  if (system === undefined) throw new MantaError('BackupMissing', `there are no backups at ${target.url}`);
  const path = await newestPath(target, signal);
  const bases = (await listBases(target, signal)).filter(base => isBaseOn(path, base));
  const base = bases.findLast(({ endedAt }) => Date.parse(endedAt) <= time);
  if (base === undefined) {
    const first = bases[0] === undefined ? 'no base backup counts' : `the first moment is ${bases[0].endedAt}`;
    throw new MantaError(
      'BackupMissing',
      `nothing at ${target.url} can be restored to ${until ?? 'its end'}: ${first}`,
    );
  }
  const { segmentBytes } = system;
  const missing = await firstHole(target, path, parseLsn(base.startLsn), segmentBytes, signal);
  const hole = missing && formatLsn(lsn(missing.number * BigInt(segmentBytes)));
  return { system, base, path, hole };
}

/** RFC 3339, with its offset: a time that depends on where it is read restores something else. */
export function parseTime(text: string): number {
  const isWhole = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i.test(text);
  const time = isWhole ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new MantaError('InvalidParameter', `not a time with its offset (RFC 3339): ${text}`);
  return time;
}
