import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { stopLeftovers } from './leftovers.ts';
import { type PostgresProcess, startPostgres } from './postgres-process.ts';

declare global {
  /** Handed from the set-up to the tear-down of a test run. */
  var mantaTestPostgres: { server: PostgresProcess; dir: string } | undefined;
}

const PREFIX = 'manta-test-postgres-';

/**
 * Jest's global set-up: one throw-away PostgreSQL for the whole run, announced in MANTA_TEST_POSTGRES as JSON
 * `{host, port, user, password}`. It does not sync to disk; tests of durability run a region of their own.
 */
export default async function startTestPostgres(): Promise<void> {
  await removeLeftovers();
  const dir = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const settings = { fsync: 'off', full_page_writes: 'off', max_connections: '300' };
  const server = await startPostgres({ logger: pino({ level: 'silent' }) }, { dir, settings });
  globalThis.mantaTestPostgres = { server, dir };
  process.env.MANTA_TEST_POSTGRES = JSON.stringify(server.connection);
}

/** What test runs that were killed left behind; the directory's name says whose it is. */
async function removeLeftovers(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter(found => found.startsWith(PREFIX))) {
    const owner = Number(name.slice(PREFIX.length).split('-')[0]);
    if (isAlive(owner)) continue;
    try {
      await stopLeftovers(join(tmpdir(), name, 'data'));
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // It belongs to another user of this machine.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
