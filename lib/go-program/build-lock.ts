import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';

const LOOK_EVERY_MS = 200;
const SQLITE_BUSY = 5;

/** The exclusive right to build into a directory. */
export interface BuildLock {
  release(): void;
}

/**
 * Waits until nobody else builds into `home`. It is a lock of the operating system, which ends with its owner however that
 * ends; SQLite takes it, because Node offers no such call itself. The file beside `home` stays: whoever removed it would
 * leave two owners, one of each file. Throws MantaError `GoProgramMissing` after `withinMs`.
 */
export async function lockBuild(
  home: string,
  deps: { readonly logger: Logger },
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal | undefined },
): Promise<BuildLock> {
  const path = `${home}.build-lock`;
  const until = performance.now() + withinMs;
  for (let tries = 0; ; tries += 1) {
    signal?.throwIfAborted();
    const lock = take(path);
    if (lock !== undefined) return lock;
    if (tries === 0) deps.logger.info({ home }, 'another process builds it: waiting');
    if (performance.now() > until)
      throw new MantaError('GoProgramMissing', `another process has been building ${home} for too long`);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

function take(path: string): BuildLock | undefined {
  const file = new DatabaseSync(path);
  try {
    file.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
  return { release: () => file.close() };
}
