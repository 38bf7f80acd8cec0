import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process of this machine, by the number it has here, whatever its own namespace calls it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** Program and arguments; PostgreSQL's children write there what they do. Empty: a zombie. */
  readonly command: string;
}

/** A process and all its living descendants, parents before children. */
export function treeOf(pid: number): readonly ProcessInfo[] {
  const children = new Map<number, ProcessInfo[]>();
  const found: ProcessInfo[] = [];
  for (const info of allProcesses()) {
    const siblings = children.get(info.parent);
    if (siblings === undefined) children.set(info.parent, [info]);
    else siblings.push(info);
    if (info.pid === pid) found.push(info);
  }
  for (const parent of found) found.push(...(children.get(parent.pid) ?? []));
  return found.filter(({ command }) => command !== '');
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

/** Those of this machine that this process may see. */
export function allProcesses(): readonly ProcessInfo[] {
  return process.platform === 'linux' ? fromProc() : fromPs();
}

function fromProc(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        // pid (name) state parent …, and the name may contain anything.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), parent, command }];
      } catch {
        // It has just ended.
        return [];
      }
    });
}

function fromPs(): ProcessInfo[] {
  const lines = execFileSync('ps', ['-axo', 'pid=,ppid=,command='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map(line => {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return { pid: Number(pid), parent: Number(parent), command };
  });
}
