import { chownSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import type { Endpoint } from '../server.ts';
import type { Binaries } from './binaries.ts';
import { runOrThrow } from './command.ts';
import { conninfo, passwordLine, replicationConninfo } from './conninfo.ts';
import type { Directories } from './directory.ts';
import { replaceFile } from './durable-file.ts';
import type { Passwords } from './passwords.ts';

/** How data directories come about (replication.md §7.3, §7.9, §7.10, §11.12). */
export interface Seed {
  initialise(incarnation: string, signal: AbortSignal): Promise<void>;
  baseBackup(
    incarnation: string,
    from: Endpoint,
    signal: AbortSignal,
    onProgress: (part: number) => void,
  ): Promise<void>;
  rewind(incarnation: string, from: Endpoint, signal: AbortSignal): Promise<void>;
}

export interface SeedDeps {
  readonly binaries: Binaries;
  readonly account: ServerAccount;
  readonly directories: Directories;
  readonly passwords: Passwords;
}

export interface SeedConfig {
  readonly runDir: string;
  readonly rebuildMaxRateKb: number;
  readonly tls?: unknown;
}

const ROLE = 'manta_replication';
const GREET_MS = 3_000;

export function createSeed(deps: SeedDeps, config: SeedConfig): Seed {
  const { account, binaries, directories } = deps;

  async function prepare(incarnation: string): Promise<{ directory: string; walArgs: string[] }> {
    const { directory, wal } = await prepareIncarnation(deps, incarnation);
    return { directory, walArgs: wal === undefined ? [] : [`--waldir=${wal}`] };
  }

  const withPassword = <Value>(purpose: string, body: (path: string, password: string) => Promise<Value>) =>
    withPasswordFile(deps, config.runDir, purpose, body);

  /** The name is no peer's: a synchronous standby is told by its name alone. */
  const source = (from: Endpoint, purpose: string, passfile: string, database?: string) =>
    conninfo({
      ...replicationConninfo(from, { major: binaries.major, tls: config.tls }),
      ...(database === undefined ? {} : { dbname: database }),
      application_name: `manta_${purpose}`,
      passfile,
    });

  return {
    async initialise(incarnation, signal) {
      const { directory, walArgs } = await prepare(incarnation);
      const args = ['-D', directory, '-U', 'postgres', '--encoding=UTF8', '--locale=C', '--data-checksums', ...walArgs];
      // A promotion copies the segment it begins in and syncs it, while everybody waits: 67 ms for 16 MB, 20 ms for 4 MB.
      args.push('--wal-segsize=4');
      // Nobody may come in until the sitter has written who may.
      await runOrThrow(account, binaries.path('initdb'), [...args, '--auth=reject'], { signal });
      await replaceFile(account, join(directory, 'postgresql.auto.conf'), '');
      await directories.markComplete(incarnation);
    },

    async baseBackup(incarnation, from, signal, onProgress) {
      const directory = directories.path(incarnation);
      await withPassword('base_backup', async (passfile, password) => {
        await greet(from, password, config.tls !== undefined);
        const { walArgs } = await prepare(incarnation);
        await runOrThrow(
          account,
          binaries.path('pg_basebackup'),
          [
            `--dbname=${source(from, 'base_backup', passfile)}`,
            `--pgdata=${directory}`,
            '--wal-method=stream',
            // A shard that needs a base backup lacks a peer already: it does not wait for the next checkpoint.
            '--checkpoint=fast',
            `--max-rate=${config.rebuildMaxRateKb}`,
            '--progress',
            '--no-password',
            ...walArgs,
          ],
          { signal, onLine: line => reportProgress(line, onProgress) },
        );
      });
      await runOrThrow(account, binaries.path('pg_verifybackup'), ['--exit-on-error', directory], { signal });
      // The source's own wishes are not this peer's.
      await replaceFile(account, join(directory, 'postgresql.auto.conf'), '');
      await directories.markComplete(incarnation);
    },

    async rewind(incarnation, from, signal) {
      const directory = directories.path(incarnation);
      await withPassword('rewind', async (passfile, password) => {
        // A source that is not there yet must not cost this directory.
        await greet(from, password, config.tls !== undefined);
        // Recovery of a crashed directory runs in a single process, which refuses to be a standby.
        for (const name of ['standby.signal', 'recovery.signal']) await rm(join(directory, name), { force: true });
        // From here on an interruption leaves a mixture, which the missing mark tells.
        await directories.unmark(incarnation);
        await runOrThrow(
          account,
          binaries.path('pg_rewind'),
          [`--source-server=${source(from, 'rewind', passfile, 'postgres')}`, `--target-pgdata=${directory}`],
          { signal },
        );
        await replaceFile(account, join(directory, 'postgresql.auto.conf'), '');
        // Where there was nothing to rewind, nothing else would tell that it may follow.
        await replaceFile(account, join(directory, 'standby.signal'), '');
        await directories.markComplete(incarnation);
      });
    },
  };
}

/** A new incarnation's directory, empty, and its WAL's where that has a volume of its own. */
export async function prepareIncarnation(
  { account, directories }: Pick<SeedDeps, 'account' | 'directories'>,
  incarnation: string,
): Promise<{ readonly directory: string; readonly wal: string | undefined }> {
  const directory = directories.path(incarnation);
  const wal = directories.walPath(incarnation);
  for (const dir of wal === undefined ? [directory] : [directory, wal]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    own(account, dir);
  }
  return { directory, wal };
}

/**
 * Runs with a password file of its own (replication.md §11.2), named for what it is for, in memory. Throws MantaError
 * `PasswordMissing` when the replication role has none.
 */
export async function withPasswordFile<Value>(
  { account, passwords }: Pick<SeedDeps, 'account' | 'passwords'>,
  runDir: string,
  purpose: string,
  body: (path: string, password: string) => Promise<Value>,
): Promise<Value> {
  const password = await passwords.of(ROLE);
  if (password === undefined) throw new MantaError('PasswordMissing', `there is no password of ${ROLE}`);
  const path = join(runDir, `${purpose}.pass`);
  await writeFile(path, passwordLine(ROLE, password), { mode: 0o600 });
  own(account, path);
  try {
    return await body(path, password);
  } finally {
    await rm(path, { force: true });
  }
}

/** One login, as pg_rewind will. Rejects with MantaError `SourceUnreachable`. */
async function greet(from: Endpoint, password: string, tls: boolean): Promise<void> {
  const client = new pg.Client({
    host: from.host,
    port: from.port,
    user: ROLE,
    password,
    database: 'postgres',
    // As libpq with sslmode=require: encrypted, whoever it is; the password proves itself by SCRAM.
    ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
    connectionTimeoutMillis: GREET_MS,
    query_timeout: GREET_MS,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
  } catch (cause) {
    throw new MantaError('SourceUnreachable', `${from.id} does not answer: ${(cause as Error).message}`, { cause });
  } finally {
    void client.end().catch(() => {});
  }
}

function own({ uid, gid }: ServerAccount, path: string) {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

/** `12345/67890 kB (18%), 0/1 tablespace` */
function reportProgress(line: string, onProgress: (part: number) => void) {
  const match = /(\d+)\/(\d+) kB/.exec(line);
  if (match === null || Number(match[2]) === 0) return;
  onProgress(Math.min(1, Number(match[1]) / Number(match[2])));
}
