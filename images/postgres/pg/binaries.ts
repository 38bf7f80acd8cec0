import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { MantaError } from '../../../lib/errors/manta-error.ts';

const PROGRAMS = [
  'initdb',
  'postgres',
  'pg_basebackup',
  'pg_rewind',
  'pg_controldata',
  'pg_waldump',
  'pg_verifybackup',
  'pg_receivewal',
] as const;

export type Program = (typeof PROGRAMS)[number];

/** One installation of PostgreSQL: every program the sitter runs, all of one version. */
export interface Binaries {
  readonly dir: string;
  readonly major: number;
  readonly minor: number;
  /** Absolute path of a program. */
  path(program: Program): string;
}

/** Earlier ones have a race in which commits shortly after a start do not wait for the sync (replication.md §11.1). */
const OLDEST_MINOR: Readonly<Record<number, number>> = { 15: 13, 16: 9, 17: 5 };
const OLDEST_MAJOR = 15;
const DEBIAN = '/usr/lib/postgresql';
const REMEDY =
  'run "apt-get install --yes --no-install-recommends postgresql" (Debian, Ubuntu), or name the directory of a PostgreSQL';

/**
 * Finds PostgreSQL: the directory given, else the newest of what is on `PATH` and in Debian's directories. Throws
 * MantaError `PostgresMissing`, with what to run, where there is none that may be used (replication.md §11.1).
 */
export function findBinaries(
  given?: string,
  places: { readonly path: string; readonly debian: string } = { path: process.env.PATH ?? '', debian: DEBIAN },
): Binaries {
  if (given !== undefined) return inspect(given);
  const onPath = places.path.split(delimiter).filter(dir => dir !== '');
  const found: Binaries[] = [];
  const refusals: string[] = [];
  for (const dir of [...new Set([...onPath, ...debianDirs(places.debian)])]) {
    if (missingFrom(dir).includes('postgres')) continue;
    try {
      found.push(inspect(dir));
    } catch (error) {
      refusals.push(error instanceof Error ? error.message : String(error));
    }
  }
  const newest = found.sort((a, b) => b.major - a.major || b.minor - a.minor)[0];
  if (newest !== undefined) return newest;
  throw new MantaError('PostgresMissing', [...refusals, `no usable PostgreSQL on this machine: ${REMEDY}`].join('; '));
}

function debianDirs(root: string): string[] {
  try {
    return readdirSync(root).map(major => join(root, major, 'bin'));
  } catch {
    return [];
  }
}

function inspect(dir: string): Binaries {
  const missing = missingFrom(dir);
  if (missing.length > 0) throw new MantaError('PostgresMissing', `${dir} lacks ${missing.join(', ')}: ${REMEDY}`);
  const text = execFileSync(join(dir, 'postgres'), ['--version'], { encoding: 'utf8' });
  const { major, minor } = parseVersion(text);
  const oldest = OLDEST_MINOR[major] ?? 0;
  if (major < OLDEST_MAJOR || minor < oldest)
    throw new MantaError(
      'PostgresMissing',
      `PostgreSQL ${major}.${minor} in ${dir} is too old: ${major < OLDEST_MAJOR ? `${OLDEST_MAJOR}.${OLDEST_MINOR[OLDEST_MAJOR]}` : `${major}.${oldest}`} is the first that may be used; ${REMEDY}`,
    );
  return { dir, major, minor, path: program => join(dir, program) };
}

/** Reads what `postgres --version` prints. A pre-release counts as release 0. */
export function parseVersion(text: string): { readonly major: number; readonly minor: number } {
  const match = /\) (\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) throw new MantaError('PostgresMissing', `not a version of PostgreSQL: ${text.trim()}`);
  return { major: Number(match[1]), minor: Number(match[2] ?? 0) };
}

function missingFrom(dir: string): Program[] {
  return PROGRAMS.filter(program => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return false;
    } catch {
      return true;
    }
  });
}
