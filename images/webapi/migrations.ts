import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { authMigrations } from '../../lib/auth/migrations.ts';
import { migrate } from '../../lib/database/migrate.ts';
import type { DatabaseTarget } from '../../lib/database/moving-target.ts';
import { codeOf } from '../../lib/errors/manta-error.ts';
import { controlMigrations, indexMigrations } from '../../lib/metadata/migrations.ts';

/** A database whose tables webapi owns, as the role that may change them. */
export interface OwnedDatabase {
  readonly holds: 'index' | 'control';
  readonly target: DatabaseTarget;
}

const SETS = { index: [indexMigrations], control: [controlMigrations, authMigrations] } as const;
const AGAIN_MS = 1_000;

/**
 * Brings the tables and functions of every database up to date (metadata.md §12.18), however long a database takes to be
 * there: a program never ends because something it needs is down. Throws MantaError `MigrationChanged` or `MigrationName`,
 * which no waiting helps against, and the signal's reason.
 */
export async function bringTablesAbout(
  deps: { readonly logger: Logger; readonly signal: AbortSignal },
  databases: readonly OwnedDatabase[],
): Promise<void> {
  await Promise.all(databases.map(database => bringAbout(deps, database)));
}

async function bringAbout(
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
  { holds, target }: OwnedDatabase,
): Promise<void> {
  for (const set of SETS[holds]) {
    for (;;) {
      signal.throwIfAborted();
      try {
        await migrate({ logger }, target, set, 'webapi');
        break;
      } catch (error) {
        if (codeOf(error)?.startsWith('Migration')) throw error;
        logger.warn({ err: error, database: holds, set: set.name }, 'migration is tried again');
      }
      await sleep(AGAIN_MS, undefined, { signal });
    }
  }
}
