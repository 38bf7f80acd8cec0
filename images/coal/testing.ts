import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(import.meta.dirname, '..', '..');

/** A program of this repository as a user starts it: through launch.sh, as a process of its own. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has printed so far, both streams. */
  output(): string;
  /** Resolves when it has printed `text`; rejects with its output when it ends before. */
  printed(text: string): Promise<void>;
  readonly exited: Promise<number | NodeJS.Signals>;
}

/** Runs `images/coal/<program>`, from a directory that is not the repository's. */
export function runProgram(
  program: 'main.ts' | 'cli.ts',
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Running {
  const child = spawn('sh', [join(ROOT, 'launch.sh'), `images/coal/${program}`, ...args], {
    cwd: '/',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const listeners = new Set<() => void>();
  const onData = (chunk: Buffer) => {
    output += chunk;
    for (const listener of listeners) listener();
  };
  child.stdout.on('data', onData);
  child.stderr.on('data', onData);
  const exited = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  return {
    child,
    output: () => output,
    exited,
    printed: text =>
      new Promise((resolvePrinted, reject) => {
        const look = () => {
          if (!output.includes(text)) return;
          listeners.delete(look);
          resolvePrinted();
        };
        listeners.add(look);
        look();
        void exited.then(code => reject(new Error(`ended with ${code} before it said "${text}":\n${output}`)));
      }),
  };
}

/** A region on `dir`, ready. */
export async function startCoal(dir: string, args: readonly string[] = []): Promise<Running> {
  const running = runProgram('main.ts', ['--dir', dir, '--port', '0', ...args]);
  await running.printed('The region is ready.');
  return running;
}

/** Runs shell text as a user would who has sourced `env`, in a home directory of its own. Returns its standard output. */
export async function inShell(dir: string, text: string, home = join(dir, '..', 'home')): Promise<string> {
  mkdirSync(home, { recursive: true });
  const { MANTA_URL: _url, NODE_OPTIONS: _options, SSH_AUTH_SOCK: _agent, ...env } = process.env;
  const script = `set -eu; . '${dir}/env'; ${text}`;
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { env: { ...env, HOME: home }, cwd: home });
  return stdout;
}
