import { chown, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';

/**
 * Replaces a file completely or not at all, durably: written beside it, synced, renamed, the directory synced
 * (replication.md §11.2). It belongs to the server's account and nobody else reads it.
 */
export async function replaceFile(account: ServerAccount, path: string, text: string): Promise<void> {
  await swapFile(account, path, text, true);
  await syncDirectory(dirname(path));
}

/** The same, but not durably: for what is written anew before anybody reads it after a crash of the machine. */
export function replaceVolatileFile(account: ServerAccount, path: string, text: string): Promise<void> {
  return swapFile(account, path, text, false);
}

async function swapFile(account: ServerAccount, path: string, text: string, isDurable: boolean): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    if (isDurable) await file.sync();
  } finally {
    await file.close();
  }
  // By name: the account may be one that a wrapper maps, and then the number is what is seen from here.
  if (account.uid !== undefined && account.gid !== undefined) await chown(temporary, account.uid, account.gid);
  await rename(temporary, path);
}

/** Removes a file durably. One that is not there is fine. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}

/** Moves a file within one directory, durably. */
export async function moveFile(dir: string, from: string, to: string): Promise<void> {
  await rename(join(dir, from), join(dir, to));
  await syncDirectory(dir);
}

/** Makes the entries of a directory durable. */
export async function syncDirectory(dir: string): Promise<void> {
  const directory = await open(dir, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
