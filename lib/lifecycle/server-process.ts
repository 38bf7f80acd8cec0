import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MantaError } from '../errors/manta-error.ts';
import { endsWithParent } from './ends-with-parent.ts';

/** A server of somebody else's as a child of this process: started, stopped, killed and frozen as tests want it. */
export interface ServerProcess {
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly logFile: string;
  /** Resolves when it is ready. Throws MantaError of the configured code; nothing runs then. Idempotent. */
  start(): Promise<void>;
  /** An orderly end; after 5 s a kill. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL. Idempotent. */
  kill(): Promise<void>;
  /** Freezes it: its connections stay and fall silent. On Linux resolves when the last of its threads stands still. */
  pause(): Promise<void>;
  resume(): void;
  /** Stops and starts it. */
  restart(): Promise<void>;
}

export interface ServerProcessConfig {
  /** For messages. */
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Put before them: `ip netns exec NAME`. It must `exec`, so that the process id stays. */
  readonly commandPrefix?: readonly string[];
  /** Gets all that the server prints; the log of the run before stays as `….1`. Its directory is the server's own. */
  readonly logFile: string;
  /** Asked again and again while it starts. A throw means no. */
  isReady(): boolean | Promise<boolean>;
  /** Milliseconds from one such look to the next; 10 unless told. */
  readonly lookEveryMs?: number;
  readonly startWithinMs: number;
  /** The code of the error of a start that failed; its message has the end of the log. */
  readonly failureCode: string;
}

const STOP_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 10;
const LOG_TAIL_BYTES = 64 << 10;

/** Does not start it. Where the system allows it, it is killed when this process ends, however that ends. */
export function createServerProcess(config: ServerProcessConfig): ServerProcess {
  let running: { child: ChildProcess; exited: Promise<void> } | undefined;

  async function start(): Promise<void> {
    if (running !== undefined) return;
    mkdirSync(dirname(config.logFile), { recursive: true });
    if (existsSync(config.logFile)) renameSync(config.logFile, `${config.logFile}.1`);
    const child = launch(config);
    let isOver = false;
    const exited = new Promise<void>(resolve => {
      const over = () => {
        isOver = true;
        if (running?.child === child) running = undefined;
        resolve();
      };
      child.once('exit', over);
      child.once('error', over);
    });
    running = { child, exited };
    const until = performance.now() + config.startWithinMs;
    while (!isOver && performance.now() < until) {
      if ((await isReady(config)) && !isOver) return;
      await sleep(config.lookEveryMs ?? LOOK_EVERY_MS);
    }
    const how = isOver ? 'ended while starting' : 'did not start in time';
    await end('SIGKILL');
    throw new MantaError(config.failureCode, `${config.name} ${how}: ${endOfLog(config.logFile)}`);
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (running === undefined) return;
    const { child, exited } = running;
    child.kill(signal);
    // A frozen process hears nothing but SIGKILL.
    child.kill('SIGCONT');
    const given = new AbortController();
    const patience = sleep(STOP_WITHIN_MS, undefined, { signal: given.signal }).then(
      () => child.kill('SIGKILL'),
      () => {},
    );
    await Promise.race([exited, patience]);
    given.abort();
    await exited;
  }

  return {
    logFile: config.logFile,
    get pid() {
      return running?.child.pid;
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async pause() {
      const pid = running?.child.pid;
      if (pid === undefined) return;
      process.kill(pid, 'SIGSTOP');
      for (let tries = 0; tries < 1_000 && !isFrozen(pid); tries += 1) await sleep(1);
    },
    resume: () => void running?.child.kill('SIGCONT'),
    async restart() {
      await end('SIGTERM');
      await start();
    },
  };
}

function launch({ command, commandPrefix = [], logFile }: ServerProcessConfig): ChildProcess {
  const [program = '', ...args] = [...commandPrefix, ...endsWithParent(), ...command];
  const log = openSync(logFile, 'w');
  try {
    // A process group of its own: a terminal's Ctrl-C does not reach it before its clients are done.
    return spawn(program, args, { cwd: dirname(logFile), detached: true, stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

async function isReady(config: ServerProcessConfig): Promise<boolean> {
  try {
    return await config.isReady();
  } catch {
    return false;
  }
}

function isFrozen(pid: number): boolean {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks.every(task => readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8').includes(') T '));
  } catch {
    // No /proc, or a thread that has just ended.
    return !existsSync(`/proc/${pid}`);
  }
}

function endOfLog(path: string): string {
  const file = openSync(path, 'r');
  try {
    const { size } = statSync(path);
    const tail = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
    readSync(file, tail, 0, tail.length, size - tail.length);
    return tail.toString().trim().split('\n').slice(-4).join('\n');
  } finally {
    closeSync(file);
  }
}
