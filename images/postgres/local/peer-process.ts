import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type ProcessInfo, signalProcess, treeOf } from './process-tree.ts';

/** Which of a peer's processes. */
export type Part = 'whole' | 'server' | 'sitter';

/** A peer as its container would be: an init, the sitter, PostgreSQL. Where it is not running, signals reach nobody. */
export interface PeerProcess {
  readonly isRunning: boolean;
  /** Process ids as this machine counts them; undefined where there is none. */
  readonly init: number | undefined;
  readonly sitter: number | undefined;
  readonly postmaster: number | undefined;
  /** PostgreSQL's processes, the postmaster first. */
  server(): readonly ProcessInfo[];
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
  /** What to run, without prefix. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** To put before everything else, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** Locked for as long as the sitter lives (replication.md §11.10). */
  readonly lockFile: string;
  readonly logFile: string;
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

  function start(): void {
    isWanted = true;
    if (running === undefined) launch();
  }

  function launch(): void {
    const [program = '', ...args] = commandLine(config);
    const log = openSync(config.logFile, 'a');
    const child = spawn(program, args, {
      cwd: '/',
      // A process group of its own: a terminal's Ctrl-C reaches it by way of `terminate`, in order.
      detached: true,
      env: { ...process.env, ...config.env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const exited = new Promise<void>(resolve => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    running = { child, exited };
    exited.then(async () => {
      if (running?.child === child) running = undefined;
      if (!isWanted) return;
      deps.logger.warn({ peer: config.id, log: config.logFile }, 'peer ended and is started again');
      await sleep(RESTART_AFTER_MS, undefined, { ref: false });
      if (isWanted && running === undefined) launch();
    });
  }

  const tree = () => (running?.child.pid === undefined ? [] : treeOf(running.child.pid));
  // flock and the wrappers exec: what is left is the sitter's own program.
  const sitter = () => tree().find(({ command }) => command.startsWith(config.command.slice(0, 2).join(' ')))?.pid;
  const server = () => {
    const all = tree();
    const parent = sitter();
    // Orphans of a dead postmaster belong to the init.
    return all
      .filter(({ command }) => isServer(command))
      .sort((a, b) => Number(b.parent === parent) - Number(a.parent === parent));
  };
  const postmaster = () => {
    const parent = sitter();
    return server().find(info => info.parent === parent)?.pid;
  };
  const partsOf = (part: Part): number[] => {
    const [servers, own] = [server().map(({ pid }) => pid), sitter()];
    if (part === 'server') return servers;
    if (part === 'sitter') return own === undefined ? [] : [own];
    return tree().map(({ pid }) => pid);
  };
  const signalAll = (part: Part, signal: NodeJS.Signals) => {
    for (const pid of partsOf(part)) signalProcess(pid, signal);
  };
  const kill = (pid: number | undefined) => pid !== undefined && signalProcess(pid, 'SIGKILL');

  /** All of it: without a process namespace, children outlive their parents. */
  async function killAll(): Promise<void> {
    const found = running;
    if (found === undefined) return;
    signalAll('whole', 'SIGKILL');
    found.child.kill('SIGKILL');
    await found.exited;
  }

  return {
    get isRunning() {
      return running !== undefined;
    },
    get init() {
      return tree()[abilities().namespace.length > 0 ? 1 : 0]?.pid;
    },
    get sitter() {
      return sitter();
    },
    get postmaster() {
      return postmaster();
    },
    server,
    start,
    killPostmaster: () => kill(postmaster()),
    killSitter: () => kill(sitter()),
    async killTree({ stayDown = false } = {}) {
      isWanted = !stayDown;
      await killAll();
    },
    pause: part => signalAll(part, 'SIGSTOP'),
    resume: part => signalAll(part, 'SIGCONT'),
    async terminate(withinMs = 60_000) {
      isWanted = false;
      const found = running;
      if (found === undefined) return true;
      signalAll('whole', 'SIGCONT');
      const pid = sitter();
      if (pid !== undefined) signalProcess(pid, 'SIGTERM');
      const given = new AbortController();
      const isLate = await Promise.race([
        found.exited.then(() => false),
        sleep(withinMs, true, { signal: given.signal }).catch(() => true),
      ]);
      given.abort();
      if (isLate || pid === undefined) await killAll();
      return !isLate;
    },
  };
}

/** `postgres: walwriter`, or the server itself. */
function isServer(command: string): boolean {
  return /^postgres: |\/postgres( |$)/.test(command);
}

function commandLine({ prefix = [], command, lockFile }: PeerProcessConfig): readonly string[] {
  const { namespace, diesWithParent, lock } = abilities();
  const init = namespace.length > 0 ? INIT : [];
  const locked = lock ? ['flock', '--nonblock', '--no-fork', lockFile] : [];
  return [...prefix, ...diesWithParent, ...namespace, ...init, ...locked, ...command];
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
