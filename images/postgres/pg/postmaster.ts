import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import type { ServerAccount } from '../../../lib/postgres-process/account.ts';
import type { ProcessView, StopMode } from '../server.ts';
import type { Binaries } from './binaries.ts';
import { commandLine, identityOf } from './command.ts';
import { readPostmasterFile } from './postmaster-file.ts';
import { isServerProcess, sendSignal, serverProcesses } from './processes.ts';

/** The server's processes: one life after the other (replication.md §11.10). */
export interface Postmaster {
  view(): ProcessView;
  /** When the server last ended without being asked to. */
  crashedAt(): number | undefined;
  /** When it was started, the last ten minutes. */
  starts(): readonly number[];
  /**
   * Resolves once it accepts connections or, in recovery, is consistent. Abort ends the wait, not the server. Rejects
   * with MantaError `PostgresRemains` when processes of an earlier life are left, `PostgresStart` with the end of its log
   * when it ends instead.
   */
  start(dataDirectory: string, signal: AbortSignal): Promise<void>;
  /** Resolves only with the proof that no process is left. Abort ends the wait. */
  stop(mode: StopMode, signal: AbortSignal): Promise<void>;
}

export interface PostmasterDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly binaries: Binaries;
  readonly account: ServerAccount;
  /** Called when the server has come up or ended. */
  readonly onChange: () => void;
}

export interface PostmasterConfig {
  /** All data directories are below it. */
  readonly root: string;
  readonly socketDir: string;
  readonly port: number;
  readonly stopFastMs: number;
  readonly stopImmediateMs: number;
}

const STARTS_KEPT_MS = 600_000;
const LOG_LINES = 12;
/** Where memory runs out, PostgreSQL goes before the sitter. */
const OOM_SCORE = '300';

export function createPostmaster(deps: PostmasterDeps, config: PostmasterConfig): Postmaster {
  let child: ChildProcess | undefined;
  // What a former life of this peer left behind is found before anything else is believed.
  let kind: ProcessView['kind'] = 'remains';
  let crashedAt: number | undefined;
  let starts: number[] = [];
  let said: string[] = [];

  function view(): ProcessView {
    if (child === undefined && kind !== 'none') kind = serverProcesses(config.root).length > 0 ? 'remains' : 'none';
    return { kind };
  }

  function onEnd(code: number | null, signal: NodeJS.Signals | null) {
    child = undefined;
    if (kind !== 'stopping') {
      crashedAt = deps.clock.monotonic();
      deps.logger.error({ code, signal, said: said.slice(-3) }, 'postgres ended unasked');
    }
    view();
    deps.onChange();
  }

  function launch(dataDirectory: string): ChildProcess {
    const dying = diesWithParent() ? ['setpriv', '--pdeathsig', 'QUIT'] : [];
    const [first = '', ...rest] = [...dying, deps.binaries.path('postgres'), '-D', dataDirectory];
    const [file, args] = commandLine(deps.account, first, rest);
    const started = spawn(file, args, {
      cwd: dataDirectory,
      // A terminal's Ctrl-C is for the sitter, which then stops the server in its own way.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      ...identityOf(deps.account),
    });
    said = [];
    for (const output of [started.stdout, started.stderr])
      createInterface({ input: output }).on('line', line => {
        said = [...said.slice(1 - LOG_LINES), line];
        deps.logger.info({ line }, 'postgres says');
      });
    raiseOomScore(started.pid);
    return started;
  }

  async function start(dataDirectory: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const left = child === undefined ? serverProcesses(config.root) : [child.pid];
    if (left.length > 0) throw new MantaError('PostgresRemains', `processes ${left.join(', ')} are not gone yet`);
    // With that proof, and the lock on the volume held, whoever these files name is somebody else.
    rmSync(join(dataDirectory, 'postmaster.pid'), { force: true });
    for (const name of [`.s.PGSQL.${config.port}`, `.s.PGSQL.${config.port}.lock`])
      rmSync(join(config.socketDir, name), { force: true });
    const now = deps.clock.monotonic();
    starts = [...starts.filter(at => at > now - STARTS_KEPT_MS), now];
    const started = launch(dataDirectory);
    child = started;
    kind = 'starting';
    started.once('exit', onEnd);
    started.once('error', error => {
      said = [error.message];
      if (child === started) onEnd(null, null);
    });
    await readiness(started, dataDirectory, signal);
  }

  /** Watches on after an abort: the server may still come up. */
  function readiness(started: ChildProcess, dataDirectory: string, signal: AbortSignal): Promise<void> {
    const ready = (async () => {
      while (child === started) {
        const file = readPostmasterFile(dataDirectory);
        if (file?.pid === started.pid && file?.status === 'ready') {
          if (kind === 'starting') kind = 'up';
          deps.onChange();
          return;
        }
        await sleep(10);
      }
      throw new MantaError('PostgresStart', `PostgreSQL ended while starting: ${said.slice(-6).join('; ')}`);
    })();
    return unlessAborted(ready, signal);
  }

  /** To the postmaster while there is one; else to each process. */
  function signalServer(name: NodeJS.Signals) {
    const recorded = child?.pid;
    for (const pid of recorded === undefined ? serverProcesses(config.root) : [recorded]) sendSignal(pid, name);
  }

  async function goneWithin(withinMs: number, signal: AbortSignal): Promise<boolean> {
    const until = deps.clock.monotonic() + withinMs;
    for (;;) {
      if (child === undefined && serverProcesses(config.root).length === 0) return true;
      if (deps.clock.monotonic() > until) return false;
      await sleep(5, undefined, { signal });
    }
  }

  async function stop(mode: StopMode, signal: AbortSignal): Promise<void> {
    if (child !== undefined) kind = 'stopping';
    const steps = [
      { mode: 'fast', name: 'SIGINT', withinMs: config.stopFastMs },
      { mode: 'immediate', name: 'SIGQUIT', withinMs: config.stopImmediateMs },
    ] as const;
    const first = steps.findIndex(step => step.mode === mode);
    for (const step of first < 0 ? [] : steps.slice(first)) {
      signalServer(step.name);
      if (await goneWithin(step.withinMs, signal)) return finish();
      deps.logger.warn({ after: step.withinMs, mode: step.mode }, 'postgres does not stop');
    }
    do {
      for (const pid of serverProcesses(config.root)) sendSignal(pid, 'SIGKILL');
    } while (!(await goneWithin(50, signal)));
    finish();
  }

  function finish() {
    kind = 'none';
    deps.onChange();
  }

  return {
    view,
    crashedAt: () => crashedAt,
    starts: () => starts.filter(at => at > deps.clock.monotonic() - STARTS_KEPT_MS),
    start,
    stop,
  };
}

function raiseOomScore(pid: number | undefined) {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE);
  } catch {
    // It has ended, or this system does not let one.
  }
}

let canDieWithParent: boolean | undefined;

/** In a container the end of the sitter ends everything; elsewhere the kernel is asked to. */
function diesWithParent(): boolean {
  canDieWithParent ??= spawnSync('setpriv', ['--pdeathsig', 'QUIT', 'true'], { stdio: 'ignore' }).status === 0;
  return canDieWithParent;
}

async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  // Nobody may wait for it any more when it fails.
  promise.catch(() => {});
  signal.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Asks one process of a server below `root` to end; one that has gone, or is no server's, is left alone. */
export function terminateProcess(root: string, pid: number): void {
  if (isServerProcess(root, pid)) sendSignal(pid, 'SIGTERM');
}
