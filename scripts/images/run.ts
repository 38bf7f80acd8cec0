import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { MantaError } from '../../lib/errors/manta-error.ts';

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Where all that the program says goes; without, only its last lines are kept, for the error. */
  readonly log?: string;
  readonly cwd?: string;
}

const LAST_LINES = 15;

/** Runs a program to its end; resolves with its standard output. Throws MantaError `CommandFailed` with its last words. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const child = spawn(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = options.log === undefined ? undefined : createWriteStream(options.log, { flags: 'a' });
  log?.write(`+ ${program} ${args.join(' ')}\n`);
  let output = '';
  let last: string[] = [];
  const keep = (chunk: string) => {
    log?.write(chunk);
    last = [...last, ...chunk.split('\n').filter(line => line.trim() !== '')].slice(-LAST_LINES);
  };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    keep(chunk);
  });
  child.stderr.setEncoding('utf8').on('data', keep);
  try {
    const [code, signal] = await Promise.race([
      once(child, 'close'),
      once(child, 'error').then(([error]) => Promise.reject(error)),
    ]);
    if (code === 0) return output;
    throw new MantaError('CommandFailed', `${program} ended with ${signal ?? code}:\n  ${last.join('\n  ')}`);
  } catch (cause) {
    if (cause instanceof MantaError) throw cause;
    throw new MantaError('CommandFailed', `${program} could not be run: ${String(cause)}`, { cause });
  } finally {
    log?.end();
  }
}

/** Whether a program runs at all with these arguments. */
export async function works(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<boolean> {
  return run(program, args, env === undefined ? {} : { env }).then(
    () => true,
    () => false,
  );
}
