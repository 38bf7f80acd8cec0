import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';
import { connectOnce } from './connect.ts';
import type { DatabaseTarget } from './moving-target.ts';

/** Ordered files `NNNN-name.sql` of one library for one database. The name keeps two libraries' files apart. */
export interface MigrationSet {
  readonly name: string;
  readonly directory: string;
}

const K3 = 1296957443;
const FILE = /^\d{4}-[a-z0-9-]+\.sql$/;

/**
 * Brings one database up to date and returns the names of the migrations it applied. Each file is one transaction under
 * the migrations' lock, so that any number of programs may call this at once. A file that changed after it was applied
 * throws MantaError `MigrationChanged`: what runs would not be what is written. metadata.md §12.18.
 */
export async function migrate(
  deps: { logger: Logger },
  target: DatabaseTarget,
  set: MigrationSet,
  by: string,
): Promise<string[]> {
  const files = (await readdir(set.directory)).filter(name => name.endsWith('.sql')).sort();
  const applied: string[] = [];
  const client = await connectOnce(target, { statement_timeout: 300_000 });
  try {
    for (const file of files) {
      if (!FILE.test(file)) throw new MantaError('MigrationName', `not a migration's name: ${file}`);
      const name = `${set.name}/${file}`;
      const text = await readFile(join(set.directory, file), 'utf8');
      if (await applyFile(client, name, text, by)) {
        applied.push(name);
        deps.logger.info({ migration: name }, 'migration applied');
      }
    }
  } finally {
    await client.end();
  }
  return applied;
}

async function applyFile(client: pg.Client, name: string, text: string, by: string): Promise<boolean> {
  const checksum = createHash('sha256').update(text).digest();
  await client.query('BEGIN');
  try {
    await client.query(`SELECT pg_advisory_xact_lock(${K3}, 0)`);
    await client.query('SET LOCAL ROLE manta_owner');
    await client.query(`CREATE TABLE IF NOT EXISTS schema_migration (
      name text PRIMARY KEY, checksum bytea NOT NULL,
      applied timestamptz NOT NULL DEFAULT clock_timestamp(), applied_by text NOT NULL)`);
    // schema_migration_pkey
    const known = await client.query<{ checksum: Buffer }>('SELECT checksum FROM schema_migration WHERE name = $1', [
      name,
    ]);
    const before = known.rows[0]?.checksum;
    if (before !== undefined && !before.equals(checksum)) {
      throw new MantaError('MigrationChanged', `${name} was changed after it had been applied`);
    }
    if (before === undefined) {
      await client.query(text);
      await client.query('INSERT INTO schema_migration (name, checksum, applied_by) VALUES ($1, $2, $3)', [
        name,
        checksum,
        by,
      ]);
    }
    await client.query('COMMIT');
    return before === undefined;
  } catch (error) {
    // The connection may be what failed; the first error is the one to report.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
