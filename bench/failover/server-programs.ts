import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const NEEDED = ['postgres', 'initdb', 'pg_ctl', 'pg_controldata', 'pg_basebackup', 'pg_rewind'];
const DEBIAN = '/usr/lib/postgresql';

/** The directory of the newest PostgreSQL server installed on this machine that is complete. Throws where there is none. */
export async function findServerPrograms(): Promise<string> {
  const majors = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const places = [...majors.map(major => join(DEBIAN, major, 'bin')), await configured()];
  const found = places.find(place => place !== undefined && NEEDED.every(name => existsSync(join(place, name))));
  if (found === undefined) throw new Error(`no PostgreSQL with ${NEEDED.join(', ')}: install the server package`);
  return found;
}

async function configured(): Promise<string | undefined> {
  try {
    return (await promisify(execFile)('pg_config', ['--bindir'])).stdout.trim();
  } catch {
    return undefined;
  }
}
