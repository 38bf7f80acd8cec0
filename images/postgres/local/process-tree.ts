import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process of this machine, by the number it has here, whatever its own namespace calls it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** Program and arguments; PostgreSQL's children write there what they do. Empty: a zombie. */
  readonly command: string;
  readonly directory: string | undefined;
}

/** All living descendants of a process, parents before children. Linux only: elsewhere there are none. */
export function descendantsOf(pid: number): readonly ProcessInfo[] {
  const children = new Map<number, ProcessInfo[]>();
  for (const info of allProcesses()) {
    const siblings = children.get(info.parent);
    if (siblings === undefined) children.set(info.parent, [info]);
    else siblings.push(info);
  }
  const found: ProcessInfo[] = [];
  const parents = [pid];
  for (let parent = parents.shift(); parent !== undefined; parent = parents.shift()) {
    for (const child of children.get(parent) ?? []) {
      parents.push(child.pid);
      if (child.command !== '') found.push(child);
    }
  }
  return found;
}

/** Sends a signal; answers whether there was such a process. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

function allProcesses(): ProcessInfo[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        // pid (name) state parent …, and the name may contain anything.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), parent, command, directory: directoryOf(name) }];
      } catch {
        return [];
      }
    });
}

function directoryOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}
