import { execFile } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';

const run = promisify(execFile);

/** The version that is built where none is installed. */
export const ETCD_VERSION = '3.6.16';

const BUILD_WITHIN_MS = 600_000;

/**
 * The path of an etcd of version 3.5 or newer: one on PATH, else the one of an earlier build, else one built now from
 * etcd's Go module, which takes two or three minutes, once, and is kept in `${XDG_CACHE_HOME:-~/.cache}/manta/`. Throws
 * MantaError `EtcdMissing`, which says what to do.
 */
export async function findEtcd(deps: { logger: Logger }, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  for (const directory of (env.PATH ?? '').split(delimiter)) {
    const path = join(directory, 'etcd');
    if (directory !== '' && existsSync(path) && (await isRecent(path))) return path;
  }
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'manta');
  const home = join(cache, `etcd-${ETCD_VERSION}`);
  const built = join(home, 'etcd');
  if (existsSync(built)) return built;
  mkdirSync(cache, { recursive: true });
  await withLock(join(cache, `etcd-${ETCD_VERSION}.lock`), async () => {
    if (existsSync(built)) return;
    deps.logger.info({ version: ETCD_VERSION }, 'building etcd');
    await build(home, env);
  });
  return built;
}

async function isRecent(path: string): Promise<boolean> {
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 });
    const [, major, minor] = /etcd Version: (\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 5);
  } catch {
    return false;
  }
}

/** The directory appears under its name only when it is complete. */
async function build(home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const unfinished = `${home}.unfinished-`;
  for (const name of readdirSync(dirname(home)).filter(found => found.startsWith(basename(unfinished))))
    rmSync(join(dirname(home), name), { recursive: true, force: true });
  const place = mkdtempSync(unfinished);
  writeFileSync(join(place, 'go.mod'), 'module manta/etcd\n');
  const module = 'go.etcd.io/etcd/server/v3';
  const options = { cwd: place, env, timeout: BUILD_WITHIN_MS, maxBuffer: 16 << 20 };
  try {
    await run('go', ['get', `${module}@v${ETCD_VERSION}`], options);
    await run('go', ['build', '-mod=mod', '-trimpath', '-ldflags=-s -w', '-o', 'etcd', module], options);
    renameSync(place, home);
  } catch (cause) {
    rmSync(place, { recursive: true, force: true });
    const detail = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim().split('\n').slice(-3) : [];
    throw new MantaError(
      'EtcdMissing',
      'there is no etcd 3.5 or newer on PATH, and none could be built: install etcd, or Go and a way to its modules ' +
        `(${detail.length > 0 ? detail.join('; ') : String(cause)})`,
      { cause },
    );
  }
}

/** One builder at a time; a lock of a process that is gone counts for nothing. */
async function withLock(path: string, body: () => Promise<void>): Promise<void> {
  const until = performance.now() + 2 * BUILD_WITHIN_MS;
  while (!take(path)) {
    if (!isAlive(ownerOf(path))) rmSync(path, { force: true });
    else if (performance.now() > until) throw new MantaError('EtcdMissing', `another process builds etcd: see ${path}`);
    else await sleep(200);
  }
  try {
    await body();
  } finally {
    rmSync(path, { force: true });
  }
}

/** The lock exists with its owner in it or not at all. */
function take(path: string): boolean {
  const own = `${path}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, path);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Undefined when the lock has just been given back. */
function ownerOf(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
