import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { MantaError } from '../errors/manta-error.ts';
import { makeSocketDirectory, removeSocketDirectory } from '../socket-directory/socket-directory.ts';
import { chooseAccount, giveTo, type ServerAccount } from './account.ts';
import { findBinaries, type PostgresBinaries } from './binaries.ts';
import { recordedPid, stopLeftovers } from './leftovers.ts';

/** What a client needs to connect as superuser. `host` is the directory of the unix socket. */
export interface PostgresConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export interface PostgresConfig {
  /** Directory for everything: `data/`, `superuser-password`, `postgres.log`, and the socket where its path is short enough. */
  readonly dir: string;
  /** Settings beyond the defaults, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A running server. */
export interface PostgresProcess {
  readonly connection: PostgresConnection;
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Fast shutdown: sessions are ended, everything committed is kept. After 20 s an immediate one. Idempotent. */
  stop(): Promise<void>;
}

const PORT = 5432;
const SOCKET = `.s.PGSQL.${PORT}`;
const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 20_000;

const DEFAULTS = {
  listen_addresses: '',
  port: String(PORT),
  max_connections: '100',
  max_locks_per_transaction: '256',
  shared_buffers: '128MB',
  wal_compression: 'on',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

/**
 * Starts PostgreSQL on `dir`, creating the cluster first when there is none, and resolves when it accepts connections.
 * What a killed predecessor left running there is ended before. The server listens on a unix socket in a private
 * directory only, and has a process group of its own, so that a terminal's Ctrl-C does not reach it before its clients
 * are done. Throws MantaError `PostgresStart` with the end of its log.
 */
export async function startPostgres(deps: { logger: Logger }, config: PostgresConfig): Promise<PostgresProcess> {
  mkdirSync(config.dir, { recursive: true, mode: 0o700 });
  const dir = realpathSync(config.dir);
  const dataDir = join(dir, 'data');
  const binaries = findBinaries();
  const account = chooseAccount([dir, binaries.postgres]);
  const leftovers = await stopLeftovers(dataDir);
  if (leftovers > 0)
    deps.logger.warn({ processes: leftovers, dataDir }, 'ended a postgres left over from a killed region');
  const beside = join(dir, 'socket');
  const socketDir = makeSocketDirectory(beside, `${SOCKET}.lock`, account.uid);
  // Nobody uses the directory now: a socket in it, and its lock, are of a server that was killed. PostgreSQL would ask
  // whether the process id in the lock is alive, and by now that may be anybody's.
  for (const name of [SOCKET, `${SOCKET}.lock`]) rmSync(join(socketDir, name), { force: true });
  giveTo(account, socketDir);
  giveTo(account, dir);
  const password = await createCluster(dir, binaries, account);
  const child = launch(dir, socketDir, config.settings ?? {}, binaries, account);
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(resolve => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: -1, signal: null }));
  });
  await waitUntilReady(dir, dataDir, child, exited);
  return {
    connection: { host: socketDir, port: PORT, user: 'postgres', password },
    pid: child.pid as number,
    exited,
    stop: async () => {
      await stop(child, exited);
      removeSocketDirectory(socketDir, beside);
    },
  };
}

/** Returns the superuser's password. A cluster appears under its name only when it is complete. */
async function createCluster(dir: string, binaries: PostgresBinaries, account: ServerAccount): Promise<string> {
  const passwordFile = join(dir, 'superuser-password');
  const dataDir = join(dir, 'data');
  if (existsSync(join(dataDir, 'PG_VERSION'))) return readFileSync(passwordFile, 'utf8').trim();
  const unfinished = join(dir, 'data.unfinished');
  rmSync(unfinished, { recursive: true, force: true });
  const password = randomBytes(24).toString('base64url');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  giveTo(account, passwordFile);
  const args = ['-D', unfinished, '-U', 'postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  const [program, all] = commandLine(account, binaries.initdb, [
    ...args,
    '--encoding=UTF8',
    '--locale=C',
    '--data-checksums',
  ]);
  try {
    await promisify(execFile)(program, all, { cwd: dir, timeout: 120_000, ...identityOf(account) });
  } catch (cause) {
    const detail = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause);
    throw new MantaError('PostgresStart', `initdb failed: ${detail}`, { cause });
  }
  renameSync(unfinished, dataDir);
  return password;
}

function launch(
  dir: string,
  socketDir: string,
  settings: Readonly<Record<string, string>>,
  binaries: PostgresBinaries,
  account: ServerAccount,
): ChildProcess {
  const options = Object.entries({ ...DEFAULTS, unix_socket_directories: socketDir, ...settings });
  const flags = options.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [program, args] = commandLine(account, binaries.postgres, ['-D', join(dir, 'data'), ...flags]);
  const path = join(dir, 'postgres.log');
  // The last run's stays for one more: it may say why that one ended.
  if (existsSync(path)) renameSync(path, `${path}.1`);
  const log = openSync(path, 'w', 0o600);
  try {
    return spawn(program, args, { cwd: dir, detached: true, stdio: ['ignore', log, log], ...identityOf(account) });
  } finally {
    closeSync(log);
  }
}

/** The eighth line of postmaster.pid says `ready` once the server accepts connections. */
async function waitUntilReady(
  dir: string,
  dataDir: string,
  child: ChildProcess,
  exited: Promise<unknown>,
): Promise<void> {
  const until = performance.now() + START_WITHIN_MS;
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  while (!ended && performance.now() < until) {
    if (recordedPid(dataDir) === child.pid && statusLine(dataDir) === 'ready') return;
    await sleep(10);
  }
  if (!ended) child.kill('SIGQUIT');
  const log = readFileSync(join(dir, 'postgres.log'), 'utf8').split('\n').slice(-6).join('\n').trim();
  throw new MantaError(
    'PostgresStart',
    `PostgreSQL ${ended ? 'ended while starting' : 'did not start in time'}: ${log}`,
  );
}

function statusLine(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[7]?.trim();
  } catch {
    return undefined;
  }
}

async function stop(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
  const late = new AbortController();
  await Promise.race([
    exited.then(() => late.abort()),
    sleep(STOP_WITHIN_MS, undefined, { signal: late.signal }).then(
      () => child.kill('SIGQUIT'),
      () => {},
    ),
  ]);
  await exited;
}

function commandLine(account: ServerAccount, program: string, args: readonly string[]): [string, string[]] {
  const [first = program, ...rest] = [...account.wrapper, program, ...args];
  return [first, rest];
}

/** Under a wrapper the process starts as root and the namespace does the rest. */
function identityOf({ uid, gid, wrapper }: ServerAccount): { uid?: number; gid?: number } {
  return wrapper.length > 0 || uid === undefined || gid === undefined ? {} : { uid, gid };
}
