import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What `postmaster.pid` says: whose it is, and whether that server accepts connections. */
export interface PostmasterFile {
  readonly pid: number;
  /** Line 8: `starting`, `stopping`, `ready`, `standby`. */
  readonly status: string;
}

/** Reads it; undefined when there is none, or it is not complete yet. */
export function readPostmasterFile(dataDirectory: string): PostmasterFile | undefined {
  try {
    const lines = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    return Number.isInteger(pid) && pid > 0 ? { pid, status: lines[7]?.trim() ?? '' } : undefined;
  } catch {
    return undefined;
  }
}
