import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinaries, parseVersion } from './binaries.ts';

const PROGRAMS = 'initdb postgres pg_basebackup pg_rewind pg_controldata pg_waldump pg_verifybackup pg_receivewal';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-binaries-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function install(version: string, where: string, but?: string): string {
  const bin = join(dir, where);
  mkdirSync(bin, { recursive: true });
  for (const program of PROGRAMS.split(' ').filter(name => name !== but)) {
    writeFileSync(join(bin, program), `#!/bin/sh\necho "postgres (PostgreSQL) ${version} (Some build)"\n`);
    chmodSync(join(bin, program), 0o755);
  }
  return bin;
}

const nowhere = () => ({ path: '', debian: join(dir, 'lib') });

it('the newest of what is on PATH and in Debian’s directories is taken', () => {
  install('15.18', 'lib/15/bin');
  install('17.5', 'lib/17/bin');
  const path = install('16.9', 'local');
  expect(findBinaries(undefined, { ...nowhere(), path })).toMatchObject({ major: 17, minor: 5 });
});

it('a directory that is given wins', () => {
  install('17.5', 'lib/17/bin');
  const bin = install('15.18', 'own');
  const found = findBinaries(bin, nowhere());
  expect(found).toMatchObject({ major: 15, minor: 18, dir: bin });
  expect(found.path('pg_rewind')).toBe(join(bin, 'pg_rewind'));
});

it.each(['15.12', '16.8', '17.4', '14.22'])('%s has a known race or is too old, and is refused', version => {
  install(version, 'lib/x/bin');
  expect(() => findBinaries(undefined, nowhere())).toThrow(
    expect.objectContaining({ code: 'PostgresMissing', message: expect.stringContaining('too old') }),
  );
});

it('an older release that is too old does not hide a good one', () => {
  install('14.1', 'lib/14/bin');
  install('15.13', 'lib/15/bin');
  expect(findBinaries(undefined, nowhere())).toMatchObject({ major: 15 });
});

it('without any it says what to run', () => {
  expect(() => findBinaries(undefined, nowhere())).toThrow(/apt-get install/);
  expect(() => findBinaries(install('17.5', 'part', 'pg_rewind'), nowhere())).toThrow(/lacks pg_rewind/);
});

it('pre-releases are release 0', () => {
  expect(parseVersion('postgres (PostgreSQL) 19beta2')).toEqual({ major: 19, minor: 0 });
});
