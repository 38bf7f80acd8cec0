import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings } from '../server.ts';
import { formatSsn } from './ssn.ts';

/** The files of a data directory that the sitter writes, as it wrote them. */
export interface WrittenFiles {
  readonly conf: string;
  readonly hba: string;
  readonly settings: Settings;
}

/**
 * The first of the safety settings whose value in force is not the one that was written and read (replication.md §11.3);
 * undefined when all are. `default_transaction_read_only` is no safety device.
 */
export function settingsDrift(inForce: Readonly<Record<string, string>>, loaded: Settings): string | undefined {
  const expected: Readonly<Record<string, string>> = {
    synchronous_standby_names: formatSsn(loaded.ssn),
    synchronous_commit: 'on',
    restart_after_crash: 'off',
    fsync: 'on',
    full_page_writes: 'on',
  };
  for (const [name, value] of Object.entries(expected)) {
    if (inForce[name] !== value) return `${name} is ${JSON.stringify(inForce[name])} and not ${JSON.stringify(value)}`;
  }
  return undefined;
}

/** The first of the files that is not as it was written. */
export async function filesDrift(
  dataDirectory: string,
  written: WrittenFiles,
  inRecovery: boolean,
): Promise<string | undefined> {
  if ((await textOf(dataDirectory, 'postgresql.auto.conf')) !== '') return 'postgresql.auto.conf is not empty';
  if ((await textOf(dataDirectory, 'postgresql.conf')) !== written.conf) return 'postgresql.conf was changed';
  if ((await textOf(dataDirectory, 'pg_hba.conf')) !== written.hba) return 'pg_hba.conf was changed';
  const hasSignal = existsSync(join(dataDirectory, 'standby.signal'));
  if (written.settings.role === 'primary' && hasSignal) return 'standby.signal is there';
  // A promotion removes it, and the sitter then writes what it wants next.
  if (written.settings.role === 'standby' && inRecovery && !hasSignal) return 'standby.signal is gone';
  return undefined;
}

async function textOf(dataDirectory: string, name: string): Promise<string> {
  return readFile(join(dataDirectory, name), 'utf8').catch(() => '');
}
