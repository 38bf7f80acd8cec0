import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { childrenOf } from './processes.ts';

/** A program that runs until it is stopped, and is started again when it ends. */
export interface Daemon {
  readonly name: string;
  readonly logFile: string;
  /** The process itself, not what enters its namespaces for it; undefined while it does not run. */
  readonly pid: number | undefined;
  /** Idempotent. */
  start(): void;
  /** SIGKILL, and it stays down. Resolves when it is gone. Idempotent. */
  kill(): Promise<void>;
}

export interface DaemonConfig {
  readonly name: string;
  readonly logFile: string;
  readonly command: readonly string[];
  /** The command enters namespaces and stays as the parent of the process that it starts there. */
  readonly isParent?: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

const PAUSE_MS = 500;

/** Does not start it. */
export function createDaemon(config: DaemonConfig): Daemon {
  let isWanted = false;
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();

  function launch(): void {
    const [program = '', ...args] = config.command;
    const log = openSync(config.logFile, 'a');
    const started = spawn(program, args, { stdio: ['ignore', log, log], env: config.env ?? process.env });
    closeSync(log);
    child = started;
    gone = new Promise(resolve => {
      const over = (how: string) => {
        if (child === started) child = undefined;
        note(`--- ${config.name} ended (${how})`);
        resolve();
        if (isWanted) setTimeout(() => isWanted && child === undefined && launch(), PAUSE_MS);
      };
      started.once('exit', (code, signal) => over(String(signal ?? code)));
      started.once('error', error => over(error.message));
    });
  }

  function note(text: string): void {
    const log = openSync(config.logFile, 'a');
    writeSync(log, `${text}\n`);
    closeSync(log);
  }

  function pid(): number | undefined {
    if (child?.pid === undefined) return undefined;
    return config.isParent === true ? childrenOf(child.pid)[0] : child.pid;
  }

  return {
    name: config.name,
    logFile: config.logFile,
    get pid() {
      return pid();
    },
    start() {
      if (isWanted) return;
      isWanted = true;
      if (child === undefined) launch();
    },
    async kill() {
      isWanted = false;
      const own = pid();
      if (own !== undefined) process.kill(own, 'SIGKILL');
      child?.kill('SIGKILL');
      await gone;
    },
  };
}

/** The last lines of a log, for a message about why something did not come up. */
export function lastLines(logFile: string, count = 5): string {
  try {
    return readFileSync(logFile, 'utf8').trim().split('\n').slice(-count).join('\n');
  } catch {
    return '';
  }
}
