import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Lsn, parseLsn } from '../../../lib/shard/lsn.ts';

/** Where an ancestor of a timeline ended. */
export interface Ancestor {
  readonly timeline: number;
  readonly end: Lsn;
}

/** What marks a history file as a placeholder, and its reader as looking at no real timeline. */
const PLACEHOLDER = 'manta: number reserved, never used here';

/** Name of the history file of a timeline in pg_wal. */
export function historyName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
}

/** A file that keeps PostgreSQL from taking a timeline's number (replication.md §11.8). */
export function placeholderText(parent: number): string {
  return `${parent}\t0/0\t${PLACEHOLDER}\n`;
}

export function isPlaceholder(text: string): boolean {
  return text.includes(PLACEHOLDER);
}

/** Reads a history file: the ancestors, oldest first. Lines that are none are skipped, as PostgreSQL does with comments. */
export function parseHistory(text: string): Ancestor[] {
  return text.split('\n').flatMap(line => {
    const match = /^\s*(\d+)\s+([0-9a-f]+\/[0-9a-f]+)/i.exec(line);
    return match === null ? [] : [{ timeline: Number(match[1]), end: parseLsn(match[2] ?? '') }];
  });
}

/** The text of a timeline's history file; undefined when there is none. */
export async function readHistory(walDirectory: string, timeline: number): Promise<string | undefined> {
  try {
    return await readFile(join(walDirectory, historyName(timeline)), 'utf8');
  } catch {
    return undefined;
  }
}

/** The ancestors of a timeline by the file of this server; none for the first timeline. */
export async function ancestryOf(walDirectory: string, timeline: number): Promise<readonly Ancestor[]> {
  const text = timeline === 1 ? undefined : await readHistory(walDirectory, timeline);
  return text === undefined || isPlaceholder(text) ? [] : parseHistory(text);
}

/**
 * The timelines above `from` that there are history files for, in order and without gaps, as PostgreSQL looks for them.
 */
export async function historiesAbove(
  walDirectory: string,
  from: number,
): Promise<readonly { readonly timeline: number; readonly text: string }[]> {
  const found = [];
  for (let timeline = from + 1; ; timeline += 1) {
    const text = await readHistory(walDirectory, timeline);
    if (text === undefined) return found;
    found.push({ timeline, text });
  }
}
