import { existsSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type DestinationStream, type Logger, pino } from 'pino';

/** The region's log while it runs. */
export interface RegionLog {
  readonly logger: Logger;
  readonly path: string;
  /** Writes out what is still in memory; for the moment before the process ends. */
  flush(): void;
}

const MAX_BYTES = 16 * 1_048_576;
const KEPT = 3;

/** Opens `logs/region.log`, JSON lines. One that has grown beyond 16 MiB is put aside first; three such are kept. */
export function openRegionLog(dir: string): RegionLog {
  const logs = join(dir, 'logs');
  mkdirSync(logs, { recursive: true, mode: 0o700 });
  const path = join(logs, 'region.log');
  putAside(path);
  // Opened here, because a file that opens in the background cannot be flushed by a start that fails early.
  const dest = openSync(path, 'a', 0o600);
  const file = pino.destination({ dest, sync: false, minLength: 4096, periodicFlush: 500 });
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, file as DestinationStream);
  return { logger, path, flush: () => file.flushSync() };
}

function putAside(path: string): void {
  if (!existsSync(path) || statSync(path).size <= MAX_BYTES) return;
  for (let number = KEPT - 1; number >= 1; number -= 1) {
    if (existsSync(`${path}.${number}`)) renameSync(`${path}.${number}`, `${path}.${number + 1}`);
  }
  renameSync(path, `${path}.1`);
}
