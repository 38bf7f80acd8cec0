import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Part, type PeerParts, peerParts, signalPart } from './peer-parts.ts';
import { signalProcess } from './process-tree.ts';

/** A peer as its container would be: an init, the sitter, PostgreSQL. While it does not run, signals reach nobody. */
export interface PeerProcess {
  readonly isRunning: boolean;
  /** What it consists of now. */
  parts(): PeerParts;
  /** Starts it; from then on it is started again, a second after it has ended by itself. */
  start(): void;
  /** SIGKILL of one process; false when there was none. */
  killPostmaster(): boolean;
  killSitter(): boolean;
  /** SIGKILL of everything, as when a container dies; `stayDown`: it is not started again. */
  killTree(options?: { readonly stayDown?: boolean }): Promise<void>;
  pause(part: Part): void;
  resume(part: Part): void;
  /** SIGTERM to the sitter. Resolves when all has ended; after `withinMs` by a kill, and then with false. It stays down. */
  terminate(withinMs?: number): Promise<boolean>;
}

export interface PeerProcessConfig {
  readonly id: string;
  /** The sitter's program, which gets `--config` and the file. */
  readonly program: readonly string[];
  readonly configFile: string;
  /** To put before everything else, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** Locked for as long as the sitter lives (replication.md §11.10). */
  readonly lockFile: string;
  readonly logFile: string;
  /** While this file is there, a peer that has ended is not started again. */
  readonly downFile: string;
}

const RESTART_AFTER_MS = 1_000;
/** Waits for its child, and buries the orphans that fall to the first process of a namespace. */
const INIT = ['sh', '-c', '"$@" & wait $!', 'init'];

/**
 * Where the machine lets it, the peer gets a process namespace: whatever ends its first process or the sitter, and be it
 * SIGKILL, ends PostgreSQL, too, and it all ends with the process that started it.
 */
export function createPeerProcess(deps: { readonly logger: Logger }, config: PeerProcessConfig): PeerProcess {
  let running: { readonly child: ChildProcess; readonly exited: Promise<void> } | undefined;
  let isWanted = false;
  let isReviving = false;

  function launch(): void {
    const [program = '', ...args] = commandLine(config);
    const log = openSync(config.logFile, 'a');
    // A process group of its own: a terminal's Ctrl-C reaches it by way of `terminate`, in order.
    const child = spawn(program, args, { cwd: '/', detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    const exited = new Promise<void>(resolve => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    running = { child, exited };
    void exited.then(() => {
      running = undefined;
      void revive();
    });
  }

  async function revive(): Promise<void> {
    if (!isWanted || isReviving) return;
    isReviving = true;
    deps.logger.warn({ peer: config.id, log: config.logFile }, 'peer ended and is started again');
    do await sleep(RESTART_AFTER_MS, undefined, { ref: false });
    while (isWanted && existsSync(config.downFile));
    isReviving = false;
    if (isWanted && running === undefined) launch();
  }

  const parts = () => peerParts(running?.child.pid, config.configFile);
  const kill = (pid: number | undefined) => pid !== undefined && signalProcess(pid, 'SIGKILL');

  /** All of it: without a process namespace, children outlive their parents. */
  async function killAll(): Promise<void> {
    const found = running;
    if (found === undefined) return;
    signalPart(parts(), 'whole', 'SIGKILL');
    await found.exited;
  }

  return {
    get isRunning() {
      return running !== undefined;
    },
    parts,
    start() {
      isWanted = true;
      if (running === undefined && !isReviving) launch();
    },
    killPostmaster: () => kill(parts().postmaster),
    killSitter: () => kill(parts().sitter),
    async killTree({ stayDown = false } = {}) {
      isWanted = !stayDown;
      await killAll();
    },
    pause: part => signalPart(parts(), part, 'SIGSTOP'),
    resume: part => signalPart(parts(), part, 'SIGCONT'),
    async terminate(withinMs = 60_000) {
      isWanted = false;
      const found = running;
      if (found === undefined) return true;
      const now = parts();
      signalPart(now, 'whole', 'SIGCONT');
      signalPart(now, 'sitter', 'SIGTERM');
      const given = new AbortController();
      const isLate = await Promise.race([
        found.exited.then(() => false),
        sleep(withinMs, true, { signal: given.signal }).catch(() => true),
      ]);
      given.abort();
      if (isLate) await killAll();
      return !isLate;
    },
  };
}

function commandLine({ prefix = [], program, configFile, lockFile }: PeerProcessConfig): readonly string[] {
  const { namespace, diesWithParent, lock } = abilities();
  const init = namespace.length > 0 ? INIT : [];
  const locked = lock ? ['flock', '--nonblock', '--no-fork', lockFile] : [];
  return [...prefix, ...diesWithParent, ...namespace, ...init, ...locked, ...program, '--config', configFile];
}

interface Abilities {
  readonly namespace: readonly string[];
  readonly diesWithParent: readonly string[];
  readonly lock: boolean;
}

let found: Abilities | undefined;

/** What this machine allows this user. */
function abilities(): Abilities {
  const works = (command: readonly string[]) =>
    spawnSync(command[0] ?? '', [...command.slice(1), 'true'], { stdio: 'ignore' }).status === 0;
  const namespace = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const ways = [namespace, [...namespace, '--user', '--map-current-user']];
  const killed = ['setpriv', '--pdeathsig', 'KILL', '--'];
  found ??= {
    namespace: ways.find(works) ?? [],
    diesWithParent: works(killed) ? killed : [],
    lock: spawnSync('flock', ['--version'], { stdio: 'ignore' }).status === 0,
  };
  return found;
}
