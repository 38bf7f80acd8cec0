import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';

const run = promisify(execFile);
const FETCH_WITHIN_MS = 300_000;

/**
 * The path of an nginx for tests: the one on PATH, else the one of Debian's package, which is unpacked, once, into
 * `${XDG_CACHE_HOME:-~/.cache}/manta/`, so that no service is installed. Throws MantaError `NginxMissing`, which says what
 * to do.
 */
export async function findNginx(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  // Users' PATHs lack the directory that Debian has nginx in.
  for (const directory of [...(env.PATH ?? '').split(delimiter), '/usr/sbin']) {
    const path = join(directory, 'nginx');
    if (directory !== '' && isExecutable(path)) return path;
  }
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'manta');
  const home = join(cache, 'nginx');
  const program = join(home, 'usr', 'sbin', 'nginx');
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const place = mkdtempSync(`${home}.unfinished-`);
  try {
    await unpack(place, env);
    await run(join(place, 'usr', 'sbin', 'nginx'), ['-v']);
    renameSync(place, home);
  } catch (cause) {
    // Another process may have been faster.
    if (!existsSync(program)) {
      const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim().split('\n').slice(-3) : [];
      throw new MantaError(
        'NginxMissing',
        'there is no nginx on PATH, and none could be fetched: install it, on Debian with "apt-get install nginx-light" ' +
          `(${said.length > 0 ? said.join('; ') : (codeOf(cause) ?? String(cause))})`,
        { cause },
      );
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
  return program;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function unpack(place: string, env: NodeJS.ProcessEnv): Promise<void> {
  const options = { cwd: place, env, timeout: FETCH_WITHIN_MS };
  const download = () => run('apt-get', ['download', 'nginx'], options);
  // A new machine has no lists of packages, and only root can fetch them.
  await download().catch(async () => {
    await run('apt-get', ['update', '--quiet'], options);
    await download();
  });
  const [archive] = readdirSync(place).filter(name => name.endsWith('.deb'));
  await run('dpkg-deb', ['--extract', archive ?? 'nginx.deb', place], options);
}
