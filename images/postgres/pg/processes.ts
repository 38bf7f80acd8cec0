import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/**
 * The processes of PostgreSQL servers that work in `root` or below it. Every process of a server has its data directory
 * as its working directory, and each is the leader of a session of its own, so that neither the postmaster's end nor an
 * empty process group proves anything; an empty list does (replication.md §11.10). Processes that this one may not look
 * at belong to others.
 */
export function serverProcesses(root: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && isServerProcess(root, pid)) found.push(pid);
  }
  return found;
}

/** Whether a process is one of a PostgreSQL server that works in `root` or below. */
export function isServerProcess(root: string, pid: number): boolean {
  try {
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    return (cwd === root || cwd.startsWith(`${root}/`)) && nameOf(pid) === 'postgres';
  } catch {
    return false;
  }
}

function nameOf(pid: number): string {
  try {
    // An upgraded binary shows as "postgres (deleted)".
    return basename(readlinkSync(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
  } catch {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  }
}

/** Sends a signal to a process or, negative, to its group; one that has ended is fine. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
