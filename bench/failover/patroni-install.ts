import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** `current` is the release named here, from the Python package index; `distribution` is the operating system's package. */
export const RELEASES = ['current', 'distribution'] as const;
export type Release = (typeof RELEASES)[number];

const CURRENT = '4.1.5';
const INSTALL_WITHIN_MS = 300_000;

export interface PatroniProgram {
  readonly path: string;
  readonly version: string;
}

/**
 * Patroni with its etcd v3 client, installed first where it is missing: the current release into a virtual environment below
 * `${XDG_CACHE_HOME:-~/.cache}/manta/`, the distribution's by apt-get, which takes root. Throws an error that says what to do.
 */
export async function findPatroni(release: Release): Promise<PatroniProgram> {
  const path = release === 'current' ? await fromIndex() : await fromDistribution();
  const { stdout } = await run(path, ['--version'], { timeout: 30_000 });
  return { path, version: stdout.trim().replace(/^patroni /, '') };
}

async function fromIndex(): Promise<string> {
  const home = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'manta', `patroni-${CURRENT}`);
  // Written last: an interrupted installation is then repeated.
  const path = join(home, 'bin', 'patroni');
  const complete = join(home, 'complete');
  if (existsSync(complete)) return path;
  rmSync(home, { recursive: true, force: true });
  await mkdir(home, { recursive: true });
  const packages = [`patroni[etcd3]==${CURRENT}`, 'psycopg2-binary'];
  try {
    await run('python3', ['-m', 'venv', home], { timeout: INSTALL_WITHIN_MS });
    await run(join(home, 'bin', 'pip'), ['install', '--quiet', ...packages], { timeout: INSTALL_WITHIN_MS });
  } catch (cause) {
    const how = `python3 -m venv ${home} && ${home}/bin/pip install '${packages.join("' ")}' && touch ${complete}`;
    throw new Error(`Patroni ${CURRENT} could not be installed (${lastLine(cause)}); by hand: ${how}`, { cause });
  }
  await mkdir(complete);
  return path;
}

async function fromDistribution(): Promise<string> {
  const path = '/usr/bin/patroni';
  const etcdModule = '/usr/lib/python3/dist-packages/etcd';
  if (existsSync(path) && existsSync(etcdModule)) return path;
  const install = ['install', '-y', '--no-install-recommends', 'patroni', 'python3-etcd'];
  try {
    if (process.getuid?.() !== 0) throw new Error('this run is not root’s');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-qq'], { timeout: INSTALL_WITHIN_MS, env });
    await run('apt-get', install, { timeout: INSTALL_WITHIN_MS, env, maxBuffer: 16 << 20 });
  } catch (cause) {
    throw new Error(
      `Patroni is not installed here (${lastLine(cause)}); by hand, on Debian: apt-get ${install.join(' ')}`,
      {
        cause,
      },
    );
  }
  return path;
}

function lastLine(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return text.split('\n').at(-1) || (error instanceof Error ? error.message : String(error));
}
