import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The exclusive right to a state directory. */
export interface StateLock {
  release(): void;
}

const SQLITE_BUSY = 5;

/**
 * Takes the lock of a state directory, or returns undefined when another process has it. It is a lock of the operating
 * system on the file `lock`, which ends with the process however that ends, is not inherited by the detached database,
 * and knows no process ids that could be reused. SQLite takes it, because Node offers no such call itself.
 */
export function lockState(dir: string): StateLock | undefined {
  const file = new DatabaseSync(join(dir, 'lock'));
  try {
    file.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
  return { release: () => file.close() };
}
