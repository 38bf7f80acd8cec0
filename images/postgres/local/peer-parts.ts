import { type ProcessInfo, signalProcess, treeOf } from './process-tree.ts';

/** Which of a peer's processes. */
export type Part = 'whole' | 'server' | 'sitter';

/** The processes of a running peer, by the numbers they have on this machine. */
export interface PeerParts {
  /** The first process of its namespace; where it has none, the sitter. */
  readonly init: number | undefined;
  readonly sitter: number | undefined;
  readonly postmaster: number | undefined;
  /** PostgreSQL's, the postmaster first. */
  readonly server: readonly ProcessInfo[];
  readonly all: readonly number[];
}

/** Takes the peer apart whose outermost process is `root`; `configFile` is what its sitter was started on. */
export function peerParts(root: number | undefined, configFile: string): PeerParts {
  const tree = root === undefined ? [] : treeOf(root);
  const sitter = tree.find(({ command }) => isSitter(command, configFile))?.pid;
  const servers = tree.filter(({ command }) => isServer(command));
  const postmaster = servers.find(({ parent }) => parent === sitter)?.pid;
  const init = tree.find(({ command }) => command.startsWith('sh -c "$@" & wait $! init '))?.pid ?? sitter;
  // Orphans of a dead postmaster belong to the init.
  const server = [...servers].sort((a, b) => Number(b.pid === postmaster) - Number(a.pid === postmaster));
  return { init, sitter, postmaster, server, all: tree.map(({ pid }) => pid) };
}

/** The outermost process of a peer that another process has started; undefined when it does not run. */
export function findPeer(configFile: string, processes: readonly ProcessInfo[]): number | undefined {
  const own = processes.filter(({ command }) => command.endsWith(`--config ${configFile}`));
  return own.find(({ parent }) => !own.some(({ pid }) => pid === parent))?.pid;
}

/** Sends a signal to a part. */
export function signalPart(parts: PeerParts, part: Part, signal: NodeJS.Signals): void {
  const sitter = parts.sitter === undefined ? [] : [parts.sitter];
  const chosen = { whole: parts.all, server: parts.server.map(({ pid }) => pid), sitter }[part];
  for (const pid of chosen) signalProcess(pid, signal);
}

/** Not the wrappers, which carry its command line, too. */
function isSitter(command: string, configFile: string): boolean {
  return /^\S*node /.test(command) && command.endsWith(`--config ${configFile}`);
}

/** `postgres: walwriter`, or the server itself. */
function isServer(command: string): boolean {
  return /^postgres: |^\S*\/postgres( |$)/.test(command);
}
