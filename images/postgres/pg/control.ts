import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { type Lsn, parseLsn } from '../../../lib/shard/lsn.ts';

/** What the control file of a stopped server says. */
export interface ControlData {
  readonly systemId: string;
  /** `shut down`, `shut down in recovery`, `in production`, ... */
  readonly state: string;
  readonly checkpoint: Lsn;
  /** The greater of the checkpoint's and of what recovery had reached: a promotion shows there first. */
  readonly timeline: number;
  /** Recovery had come to here; `0/0` on a primary. */
  readonly minRecoveryEnd: Lsn;
  readonly segmentBytes: number;
}

/** Reads what `pg_controldata` prints in English. Throws MantaError `ControlDataInvalid` when a field is missing. */
export function parseControlData(text: string): ControlData {
  const fields = new Map(
    text.split('\n').map(line => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    }),
  );
  const field = (name: string) => {
    const value = fields.get(name);
    if (value === undefined) throw new MantaError('ControlDataInvalid', `pg_controldata does not say "${name}"`);
    return value;
  };
  return {
    systemId: field('Database system identifier'),
    state: field('Database cluster state'),
    checkpoint: parseLsn(field('Latest checkpoint location')),
    timeline: Math.max(
      Number(field("Latest checkpoint's TimeLineID")),
      Number(field("Min recovery ending loc's timeline")),
    ),
    minRecoveryEnd: parseLsn(field('Minimum recovery ending location')),
    segmentBytes: Number(field('Bytes per WAL segment')),
  };
}

/** Major version of the server that made a data directory. Throws when the directory is none. */
export function dataMajor(dataDirectory: string): number {
  return Number(readFileSync(join(dataDirectory, 'PG_VERSION'), 'utf8'));
}
