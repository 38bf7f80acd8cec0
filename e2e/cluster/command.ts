import { spawn } from 'node:child_process';
import { MantaError } from '../../lib/errors/manta-error.ts';

export interface CommandOptions {
  /** Milliseconds after which it is killed; 60 s without. */
  readonly withinMs?: number;
  /** What it reads. */
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

const WITHIN_MS = 60_000;
const MOST_OUTPUT = 16 << 20;
const LAST_LINES = 6;

/**
 * Runs a command to its end and resolves with what it printed. Throws MantaError `CommandFailed`, with the last lines of
 * what it complained about, when it ends in anything but 0, takes too long or cannot be started.
 */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await attempt(argv, options);
  if (code === 0) return stdout;
  const complaint = (stderr.trim() || stdout.trim()).split('\n').slice(-LAST_LINES).join('\n');
  throw new MantaError('CommandFailed', `${argv.slice(0, 4).join(' ')}: ${complaint || `exit code ${code}`}`);
}

/** How a command ended. `code` is 128 and more when a signal ended it, as in a shell. */
export interface CommandEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** As `run`, for a command whose failure is an answer. Throws MantaError `CommandFailed` when it cannot be started. */
export function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<CommandEnd> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: 'pipe',
      env: options.env ?? process.env,
      timeout: options.withinMs ?? WITHIN_MS,
      killSignal: 'SIGKILL',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      child[name].on('data', (text: string) => {
        if (output[name].length < MOST_OUTPUT) output[name] += text;
      });
    }
    // It may end without reading all of it.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.once('error', cause => {
      reject(new MantaError('CommandFailed', `${program}: ${cause.message}`, { cause }));
    });
    child.once('close', (code, signal) => resolve({ code: code ?? (signal === 'SIGKILL' ? 137 : 143), ...output }));
  });
}
