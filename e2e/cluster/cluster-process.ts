import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import { endsWithParent } from '../../lib/lifecycle/ends-with-parent.ts';
import { createCgroup, inCgroup, processesIn, removeCgroup } from './cgroups.ts';
import { run } from './command.ts';
import { CONTROL_PLANE, controlSocket } from './control.ts';
import { type ClusterPlan, cgroupOf } from './plan.ts';
import { inNewNamespaces } from './processes.ts';
import type { ClusterPrograms } from './programs.ts';
import type { ListenerMessage, SupervisorMessage } from './supervisor-main.ts';

/** What a cluster is to be, but for what only its start decides. */
export type ClusterWish = Omit<ClusterPlan, 'apiPort' | 'proxyPort'>;

/** Ports that are taken when they are free: they stay the same from one cluster to the next. */
const USUAL_API_PORT = 6443;
const USUAL_PROXY_PORT = 6480;
/** What Linux allows. */
const SOCKET_PATH_BYTES = 107;
const REMOVED_WITHIN_MS = 180_000;

/**
 * Starts a cluster and resolves with its plan when it is up. `write` is told of its progress. What an earlier cluster of
 * that name has left must be gone. Throws MantaError `ClusterStart`; nothing of it runs then, and its logs stay.
 */
export async function startCluster(
  wish: ClusterWish,
  programs: ClusterPrograms,
  write: (text: string) => void,
): Promise<ClusterPlan> {
  if (Buffer.byteLength(controlSocket(wish.dir)) > SOCKET_PATH_BYTES) {
    throw new MantaError('ClusterStart', `${wish.dir} is too long a path for a unix socket: set XDG_CACHE_HOME`);
  }
  mkdirSync(join(wish.dir, 'logs'), { recursive: true });
  linkPrograms(join(wish.dir, 'programs'), programs);
  const api = await listen(USUAL_API_PORT);
  const proxy = await listen(USUAL_PROXY_PORT);
  const plan: ClusterPlan = { ...wish, apiPort: portOf(api), proxyPort: portOf(proxy) };
  writeFileSync(join(plan.dir, 'plan.json'), JSON.stringify(plan));
  createCgroup(cgroupOf(plan, CONTROL_PLANE));
  const child = launch(plan);
  try {
    await comeUp(child, { api, proxy }, write);
  } catch (error) {
    await removeCgroup(plan.name);
    throw error;
  } finally {
    // The supervisor has them.
    api.close();
    proxy.close();
  }
  if (plan.isKept) {
    child.disconnect();
    child.unref();
  }
  return plan;
}

/**
 * Ends the cluster of that name, whatever state it is in and whoever has started it, and removes everything that it made.
 * Resolves with whether there was anything. Throws MantaError `CgroupStays`.
 */
export async function removeCluster({ name, dir }: Pick<ClusterPlan, 'name' | 'dir'>): Promise<boolean> {
  const killed = await removeCgroup(name);
  const hadState = existsSync(dir);
  // Faster than Node's own, which counts: nodes have tens of thousands of files.
  if (hadState) await run(['rm', '-rf', dir], { withinMs: REMOVED_WITHIN_MS });
  return killed > 0 || hadState;
}

/** The first process of a cluster's namespaces, by this process's numbers; undefined when it does not run. */
export function firstProcess(name: string): number | undefined {
  return processesIn(cgroupOf({ name }, CONTROL_PLANE)).find(pid => {
    try {
      const numbers = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]?.split('\t') ?? [];
      return numbers.length > 1 && numbers.at(-1) === '1';
    } catch {
      return false;
    }
  });
}

/** Programs are hard links where the cache is on the same disk. Nodes see this directory. */
function linkPrograms(dir: string, { bin, cni }: ClusterPrograms): void {
  for (const [part, paths] of Object.entries({ bin, cni })) {
    mkdirSync(join(dir, part), { recursive: true });
    for (const [name, path] of Object.entries(paths)) {
      try {
        linkSync(path, join(dir, part, name));
      } catch (error) {
        if (codeOf(error) !== 'EXDEV') throw error;
        copyFileSync(path, join(dir, part, name));
      }
    }
  }
}

/** On this machine's loopback interface alone. The connections are the supervisor's, which gets the socket. */
async function listen(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw error;
    return listen(0);
  }
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** What the first process of the namespaces does: it collects what others leave behind, and ends with the supervisor. */
const FIRST_PROCESS = 'mount -t proc proc /proc; "$@" & wait';

function launch(plan: ClusterPlan): ChildProcess {
  const supervisor = [process.execPath, join(import.meta.dirname, 'supervisor-main.ts'), join(plan.dir, 'plan.json')];
  const [program = '', ...args] = [
    ...(plan.isKept ? [] : endsWithParent()),
    ...inCgroup(cgroupOf(plan, CONTROL_PLANE), inNewNamespaces(['sh', '-c', FIRST_PROCESS, 'sh', ...supervisor])),
  ];
  const log = openSync(join(plan.dir, 'logs', 'supervisor.log'), 'a');
  try {
    return spawn(program, args, {
      cwd: plan.dir,
      // Out of reach of a terminal's Ctrl-C.
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
  } finally {
    closeSync(log);
  }
}

async function comeUp(
  child: ChildProcess,
  listeners: Readonly<Record<ListenerMessage['listener'], Server>>,
  write: (text: string) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (message: string) => reject(new MantaError('ClusterStart', message));
    child.on('message', (message: SupervisorMessage) => {
      if (message.kind === 'text') write(message.text);
      else if (message.kind === 'up') resolve();
      else fail(message.message);
    });
    child.once('exit', (code, signal) => fail(`the supervisor ended (${signal ?? code}): see logs/supervisor.log`));
    child.once('error', error => fail(error.message));
    for (const [listener, server] of Object.entries(listeners)) child.send({ listener }, server);
  });
}
