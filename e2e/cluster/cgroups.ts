import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MantaError } from '../../lib/errors/manta-error.ts';

const ROOT = '/sys/fs/cgroup';
const REMOVED_WITHIN_MS = 30_000;

/**
 * Where cgroups are kept: one directory on a machine with cgroup v2, one for every controller with v1. Paths of cgroups
 * here are relative to each of them.
 */
function hierarchies(): readonly string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map(line => line.split(' '))
    .filter(([, where = '', type = '']) => /^cgroup2?$/.test(type) && (where === ROOT || dirname(where) === ROOT))
    .map(([, where = '']) => where);
}

/** Makes a cgroup and those it is in. Idempotent. */
export function createCgroup(path: string): void {
  for (const hierarchy of hierarchies()) {
    let parent = hierarchy;
    for (const part of path.split('/')) {
      const own = join(parent, part);
      mkdirSync(own, { recursive: true });
      // v1: nothing can enter a new cpuset until it says what of its parent's it may use.
      if (basename(hierarchy) === 'cpuset') {
        for (const file of ['cpuset.cpus', 'cpuset.mems'])
          writeFileSync(join(own, file), readFileSync(join(parent, file)));
      }
      passControllersOn(parent);
      parent = own;
    }
  }
}

/** v2: a cgroup has those controllers that its parent passes on. */
function passControllersOn(parent: string): void {
  const controllers = join(parent, 'cgroup.controllers');
  if (!existsSync(controllers)) return;
  for (const name of readFileSync(controllers, 'utf8').trim().split(/\s+/).filter(Boolean)) {
    try {
      writeFileSync(join(parent, 'cgroup.subtree_control'), `+${name}`);
    } catch {
      // Some controllers refuse while real-time processes run, or where a process is in the parent: kubelet then says so.
    }
  }
}

/** Puts a shell script's process into a cgroup: a line for its beginning. What the script starts is born there. */
function entering(path: string): string {
  return hierarchies()
    .map(hierarchy => `echo 0 > '${join(hierarchy, path, 'cgroup.procs')}'`)
    .join('; ');
}

/** The command, run as a process of that cgroup. */
export function inCgroup(path: string, argv: readonly string[]): string[] {
  return ['sh', '-c', `${entering(path)}; exec "$@"`, 'sh', ...argv];
}

/** All processes of a cgroup and those in it, by the numbers of this process's namespace. */
export function processesIn(path: string): readonly number[] {
  const found = new Set<number>();
  for (const directory of directoriesOf(path)) {
    try {
      const text = readFileSync(join(directory, 'cgroup.procs'), 'utf8');
      // 0 stands for a process that this namespace does not see.
      for (const pid of text
        .split('\n')
        .map(Number)
        .filter(number => number > 0))
        found.add(pid);
    } catch {
      // It has just been removed.
    }
  }
  return [...found];
}

/**
 * Bytes that the processes of a cgroup and those in it hold, without files, which the kernel can take back. Undefined where
 * nobody counts.
 */
export function memoryOf(path: string): number | undefined {
  for (const hierarchy of hierarchies()) {
    try {
      const counts = readFileSync(join(hierarchy, path, 'memory.stat'), 'utf8');
      // v1 calls it one way, v2 the other.
      return Number(/^(?:total_rss|anon) (\d+)$/m.exec(counts)?.[1]);
    } catch {
      // Not the hierarchy that counts memory.
    }
  }
  return undefined;
}

/**
 * Kills every process of a cgroup and those in it, and removes them. Resolves with the number of processes that it found;
 * throws MantaError `CgroupStays` when one does not go within half a minute. Idempotent.
 */
export async function removeCgroup(path: string): Promise<number> {
  const until = performance.now() + REMOVED_WITHIN_MS;
  const killed = new Set<number>();
  for (;;) {
    for (const pid of processesIn(path)) {
      killed.add(pid);
      kill(pid);
    }
    for (const directory of directoriesOf(path)) removeDirectory(directory);
    if (directoriesOf(path).length === 0) return killed.size;
    if (performance.now() > until) {
      throw new MantaError('CgroupStays', `cgroup ${path} still has the processes ${processesIn(path).join(', ')}`);
    }
    await sleep(20);
  }
}

/** The innermost first. */
function directoriesOf(path: string): string[] {
  return hierarchies().flatMap(hierarchy => (existsSync(join(hierarchy, path)) ? descend(join(hierarchy, path)) : []));
}

function descend(directory: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(directory, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => entry.name);
  } catch {
    // It has just been removed.
  }
  return [...names.flatMap(name => descend(join(directory, name))), directory];
}

function removeDirectory(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Its processes have not all gone yet.
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
