import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { sendSignal } from './processes.ts';

/** How a program ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly signal?: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every line of the standard error as it comes. */
  readonly onLine?: (line: string) => void;
}

/** As much of an output as is kept, in characters: its end. */
const KEPT = 64 * 1024;

/**
 * Runs one of PostgreSQL's programs as the server's account, in English, and resolves when it has ended, with whatever
 * code. Abort ends it and its children by SIGTERM, then SIGKILL, and rejects with the signal's reason once they are gone.
 */
export async function run(
  account: ServerAccount,
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Outcome> {
  options.signal?.throwIfAborted();
  const [file, all] = commandLine(account, program, args);
  const child = spawn(file, all, {
    // A group of its own: pg_basebackup has a child that receives WAL, and would be left behind.
    detached: true,
    // A process whose working directory is a data directory counts as a server's.
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC', ...options.env },
    ...identityOf(account),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-KEPT);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT);
  });
  if (options.onLine !== undefined) createInterface({ input: child.stderr }).on('line', options.onLine);
  let killing: NodeJS.Timeout | undefined;
  const signalGroup = (name: NodeJS.Signals) => {
    if (child.pid !== undefined) sendSignal(-child.pid, name);
  };
  const abort = () => {
    signalGroup('SIGTERM');
    killing = setTimeout(signalGroup, 2_000, 'SIGKILL');
  };
  options.signal?.addEventListener('abort', abort, { once: true });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', status => resolve(status ?? -1));
    });
    options.signal?.throwIfAborted();
    return { code, stdout, stderr };
  } finally {
    clearTimeout(killing);
    options.signal?.removeEventListener('abort', abort);
  }
}

/** As `run`, but anything else than success is MantaError `PostgresProgram` with the end of what the program said. */
export async function runOrThrow(
  account: ServerAccount,
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Outcome> {
  const outcome = await run(account, program, args, options);
  if (outcome.code === 0) return outcome;
  const said = (outcome.stderr.trim() || outcome.stdout.trim()).split('\n').slice(-4).join('; ');
  throw new MantaError('PostgresProgram', `${program} ended with ${outcome.code}: ${said}`);
}

/** Program and arguments, behind the account's wrapper. */
export function commandLine(account: ServerAccount, program: string, args: readonly string[]): [string, string[]] {
  const [first = program, ...rest] = [...account.wrapper, program, ...args];
  return [first, rest];
}

/** Under a wrapper a program starts as this process's user, and the wrapper does the rest. */
export function identityOf({ uid, gid, wrapper }: ServerAccount): { uid?: number; gid?: number } {
  return wrapper.length > 0 || uid === undefined || gid === undefined ? {} : { uid, gid };
}
