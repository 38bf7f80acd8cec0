import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { replaceFile, syncDirectory } from './durable-file.ts';
import { historiesAbove, historyName, isPlaceholder, placeholderText, readHistory } from './history-file.ts';

/**
 * Writes a history file for every number between a server's timeline and the reserved one, so that its promotion takes
 * exactly that (replication.md §11.8). Numbers that have one keep it.
 */
export async function placePlaceholders(
  account: ServerAccount,
  walDirectory: string,
  own: number,
  reserved: number,
): Promise<void> {
  for (let timeline = own + 1; timeline < reserved; timeline += 1) {
    if ((await readHistory(walDirectory, timeline)) !== undefined) continue;
    await replaceFile(account, join(walDirectory, historyName(timeline)), placeholderText(own));
  }
}

/**
 * Takes away the placeholders above the last real timeline: a promotion that did not come to pass. A server that started
 * with them would look for those timelines as its own and refuse. The ones below stay, since standbys ask for them.
 */
export async function removePlaceholders(walDirectory: string, atLeast: number): Promise<void> {
  const histories = await historiesAbove(walDirectory, atLeast);
  const real = histories.findLast(({ text }) => !isPlaceholder(text))?.timeline ?? atLeast;
  const stray = histories.filter(({ timeline }) => timeline > real).reverse();
  // From the top, so that an interruption leaves no gap.
  for (const { timeline } of stray) await rm(join(walDirectory, historyName(timeline)));
  if (stray.length > 0) await syncDirectory(walDirectory);
}
