import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MantaError } from '../errors/manta-error.ts';
import { endsWithParent } from '../lifecycle/ends-with-parent.ts';

/** One etcd process and its directory. Everything but `start` and `restore` leaves the data alone. */
export interface EtcdMember {
  readonly name: string;
  /** `http://host:port` for clients. */
  readonly endpoint: string;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  readonly logFile: string;
  /** Resolves when it serves clients; a member of three then knows a leader. Throws MantaError `EtcdStart`. */
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
  /** Copies the data of a stopped member to a new directory. Throws MantaError `EtcdRunning` while it runs. */
  snapshot(to: string): void;
  /** Puts such a copy in place of a stopped member's data, as an operator restores an old backup. */
  restore(from: string): void;
}

export interface EtcdMemberConfig {
  readonly name: string;
  readonly endpoint: string;
  /** For `data/` and `etcd.log`; the log of the run before stays as `etcd.log.1`. */
  readonly dir: string;
  readonly program: string;
  /** Without `--data-dir`. */
  readonly args: readonly string[];
  /** Put before the program: `ip netns exec NAME`. It must `exec`, so that the process id stays. */
  readonly commandPrefix: readonly string[];
}

const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 5_000;

/** Does not start it. */
export function createEtcdMember(config: EtcdMemberConfig): EtcdMember {
  const dataDir = join(config.dir, 'data');
  const logFile = join(config.dir, 'etcd.log');
  let running: { child: ChildProcess; exited: Promise<void> } | undefined;

  async function start(): Promise<void> {
    if (running !== undefined) return;
    mkdirSync(config.dir, { recursive: true });
    if (existsSync(logFile)) renameSync(logFile, `${logFile}.1`);
    const child = launch();
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
    const until = performance.now() + START_WITHIN_MS;
    while (!isOver && performance.now() < until) {
      if (readFileSync(logFile, 'utf8').includes('"ready to serve client requests"')) return;
      await sleep(10);
    }
    const how = isOver ? 'ended while starting' : 'did not start in time';
    await end('SIGKILL');
    const log = readFileSync(logFile, 'utf8').trim().split('\n').slice(-4).join('\n');
    throw new MantaError('EtcdStart', `etcd ${config.name} ${how}: ${log}`);
  }

  function launch(): ChildProcess {
    const [program = '', ...args] = [...config.commandPrefix, ...endsWithParent(), config.program];
    const log = openSync(logFile, 'w');
    try {
      // A process group of its own: a terminal's Ctrl-C does not reach it before its clients are done.
      return spawn(program, [...args, ...config.args, '--data-dir', dataDir], {
        cwd: config.dir,
        detached: true,
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
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

  function demandStopped(): void {
    if (running !== undefined) throw new MantaError('EtcdRunning', `etcd ${config.name} runs: stop it first`);
  }

  return {
    name: config.name,
    endpoint: config.endpoint,
    logFile,
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
    snapshot(to) {
      demandStopped();
      cpSync(dataDir, to, { recursive: true, errorOnExist: true, force: false });
    },
    restore(from) {
      demandStopped();
      rmSync(dataDir, { recursive: true, force: true });
      cpSync(from, dataDir, { recursive: true });
    },
  };
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
