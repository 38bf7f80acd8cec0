import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import { commandLine, identityOf } from '../pg/command.ts';
import { sendSignal } from '../pg/processes.ts';

/** A program whose input or output is a stream, in a process group of its own. */
export interface PipedProgram {
  readonly input: Writable;
  readonly output: Readable;
  /** Rejects with MantaError `PostgresProgram`, which says the end of its standard error, unless it ended well. */
  readonly ended: Promise<void>;
  readonly isRunning: boolean;
  /** SIGKILL to all of it: none of these programs has anything to lose. */
  kill(): void;
}

const KEPT = 4 * 1024;

/** Runs as the server's account. It ends with this process, and on abort. */
export function startPiped(
  account: ServerAccount,
  program: string,
  args: readonly string[],
  signal?: AbortSignal,
): PipedProgram {
  signal?.throwIfAborted();
  const [first = program, ...rest] = [...endingWithParent(), program, ...args];
  const [file, all] = commandLine(account, first, rest);
  const child = spawn(file, all, {
    detached: true,
    // A process whose working directory is a data directory counts as a server's.
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    ...identityOf(account),
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT);
  });
  // What a program does not want to read is its own affair; its end says why.
  child.stdin.on('error', () => {});
  let isRunning = true;
  const kill = () => {
    if (isRunning && child.pid !== undefined) sendSignal(-child.pid, 'SIGKILL');
  };
  signal?.addEventListener('abort', kill, { once: true });
  const ended = endOf(child)
    .finally(() => {
      isRunning = false;
      signal?.removeEventListener('abort', kill);
    })
    .then(code => {
      signal?.throwIfAborted();
      if (code === 0) return;
      const said = stderr.trim().split('\n').slice(-3).join('; ');
      throw new MantaError('PostgresProgram', `${program} ended with ${code}: ${said}`);
    });
  ended.catch(() => {});
  return {
    input: child.stdin,
    output: child.stdout,
    ended,
    kill,
    get isRunning() {
      return isRunning;
    },
  };
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', status => resolve(status ?? -1));
  });
}

let found: readonly string[] | undefined;

/** In a container the end of the sitter ends everything; elsewhere the kernel is asked to. */
function endingWithParent(): readonly string[] {
  const way = ['setpriv', '--pdeathsig', 'KILL'];
  found ??= spawnSync(way[0] ?? '', [...way.slice(1), 'true'], { stdio: 'ignore' }).status === 0 ? way : [];
  return found;
}
