import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { BRIDGE, CONTROL_PLANE_ADDRESS, nodeAddress, nodeName, podNetworkOf } from './addresses.ts';
import { createCgroup, inCgroup, removeCgroup } from './cgroups.ts';
import { attempt, type CommandEnd, run } from './command.ts';
import { createDaemon, type Daemon, lastLines } from './daemon.ts';
import { cniConfiguration, nodeConfiguration } from './node-configuration.ts';
import { NODE_PROGRAMS, nodeCommand } from './node-programs.ts';
import { CONFIGURATION, layOutRoot, PROGRAMS, rootScript, VOLUMES } from './node-root.ts';
import { type ClusterPlan, cgroupOf } from './plan.ts';
import { childrenOf, inNamespacesOf, inNewNamespaces } from './processes.ts';
import { furnishFrom } from './template.ts';

/** A node of the cluster: its own namespaces, cgroup and disk, on which kubelet and the rest run. */
export interface ClusterNode {
  readonly name: string;
  readonly zone: string;
  /** Whether it has power. */
  readonly isUp: boolean;
  /** None while it has no power. */
  readonly programs: readonly Daemon[];
  /** Boots it; what it had on its disk is still there. Resolves when its programs run. Idempotent. */
  start(): Promise<void>;
  /** Cuts its power: all its processes are killed at once. Its disk stays, and what it has not synced too. Idempotent. */
  crash(): Promise<void>;
  /** Pulls its network cable out. */
  cut(): Promise<void>;
  heal(): Promise<void>;
  /** Runs a command on it. Throws MantaError `NodeDown`. */
  exec(argv: readonly string[]): Promise<CommandEnd>;
}

export interface NodeDeps {
  readonly plan: ClusterPlan;
  /** By file name: what the node's programs present and trust. */
  readonly credentials: Readonly<Record<string, string>>;
  /** Containerd's directory with all images in it. */
  readonly template: string;
}

const BOOT_WITHIN_MS = 30_000;
const PATH = `${PROGRAMS}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;

/** Nodes are counted from 1. Does not start it. */
export function createNode(deps: NodeDeps, number: number): ClusterNode {
  const { plan } = deps;
  const name = nodeName(number);
  const dir = join(plan.dir, 'nodes', name);
  const root = join(dir, 'root');
  const logs = join(plan.dir, 'logs', name);
  const cgroup = cgroupOf(plan, name);
  const system = `${cgroup}/system`;
  const zone = plan.zones[(number - 1) % plan.zones.length] as string;
  let power: Power | undefined;
  let daemons: readonly Daemon[] = [];

  async function start(): Promise<void> {
    if (power !== undefined) return;
    for (const directory of [root, logs]) mkdirSync(directory, { recursive: true });
    createCgroup(system);
    await furnish();
    power = await switchOn(rootScript(root, join(plan.dir, 'programs'), name), system, join(logs, 'boot.log'));
    await plugIn(number, plan.nodes, power.pid);
    const { pid } = power;
    const labels = { 'topology.kubernetes.io/zone': zone };
    daemons = NODE_PROGRAMS.map(program =>
      createDaemon({
        name: program,
        logFile: join(logs, `${program}.log`),
        command: inCgroup(system, inNamespacesOf(pid, nodeCommand(program, number, labels))),
        isParent: true,
        env: { PATH, HOME: '/root' },
      }),
    );
    for (const daemon of daemons) {
      daemon.start();
      if (daemon.name === 'containerd') await containerdAnswers(pid, daemon);
    }
  }

  /** What lies on its disk before it boots. */
  async function furnish(): Promise<void> {
    layOutRoot(root, number);
    const files = { ...deps.credentials, ...nodeConfiguration(number, cgroup) };
    for (const [file, text] of Object.entries(files)) {
      writeFileSync(join(root, CONFIGURATION, file), text, { mode: 0o600 });
    }
    writeFileSync(join(root, 'etc/cni/net.d/10-pods.conflist'), cniConfiguration(number));
    for (let volume = 1; volume <= plan.volumesPerNode; volume += 1) {
      mkdirSync(join(root, VOLUMES, String(volume)), { recursive: true });
    }
    await furnishFrom(deps.template, join(root, 'var/lib/containerd'));
  }

  async function crash(): Promise<void> {
    if (power === undefined) return;
    const { pid, ended } = power;
    power = undefined;
    process.kill(pid, 'SIGKILL');
    await Promise.all([ended, ...daemons.map(daemon => daemon.kill())]);
    daemons = [];
    // The kernel takes the cable's other end away with the namespace, but not at once.
    await attempt(['ip', 'link', 'delete', name]);
    await removeCgroup(cgroup);
  }

  return {
    name,
    zone,
    get isUp() {
      return power !== undefined;
    },
    get programs() {
      return daemons;
    },
    start,
    crash,
    cut: async () => void (await run(['ip', 'link', 'set', name, 'down'])),
    heal: async () => void (await run(['ip', 'link', 'set', name, 'up'])),
    async exec(argv) {
      if (power === undefined) throw new MantaError('NodeDown', `${name} has no power`);
      return attempt(inCgroup(system, inNamespacesOf(power.pid, argv)), { env: { PATH, HOME: '/root' } });
    },
  };
}

/** A node's first process, whose end is the end of all. */
interface Power {
  readonly pid: number;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
}

async function switchOn(script: string, cgroup: string, logFile: string): Promise<Power> {
  const log = openSync(logFile, 'a');
  const [program = '', ...args] = inCgroup(cgroup, inNewNamespaces(['sh', '-euc', script]));
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', log] });
  closeSync(log);
  const ended = once(child, 'exit').then(() => {});
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ready = once(lines, 'line', { signal: AbortSignal.timeout(BOOT_WITHIN_MS) }).then(
    () => true,
    () => false,
  );
  const isReady = await Promise.race([ready, ended.then(() => false)]);
  const [pid] = childrenOf(child.pid ?? 0);
  if (isReady && pid !== undefined) return { pid, ended };
  child.kill('SIGKILL');
  throw new MantaError('NodeStart', `the node did not boot: ${lastLines(logFile)}`);
}

/** Connects a node with the bridge and tells it, and the control plane, the way to each other's pods. */
async function plugIn(number: number, nodes: number, pid: number): Promise<void> {
  const name = nodeName(number);
  await attempt(['ip', 'link', 'delete', name]);
  await batch([
    `link add ${name} type veth peer name eth0 netns ${pid}`,
    `link set ${name} master ${BRIDGE} up`,
    // The API server reaches pods of webhooks and of other API servers this way.
    `route replace ${podNetworkOf(number)} via ${nodeAddress(number)}`,
  ]);
  const others = Array.from({ length: nodes }, (_, index) => index + 1).filter(other => other !== number);
  const onNode = [
    `address add ${nodeAddress(number)}/24 dev eth0`,
    'link set eth0 up',
    // Without one, the node's own processes cannot even begin a connection to a Service.
    `route add default via ${CONTROL_PLANE_ADDRESS}`,
    ...others.map(other => `route add ${podNetworkOf(other)} via ${nodeAddress(other)}`),
  ];
  await batch(onNode, ['nsenter', '--target', String(pid), '--net', '--']);
}

async function batch(lines: readonly string[], prefix: readonly string[] = []): Promise<void> {
  await run([...prefix, 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function containerdAnswers(pid: number, daemon: Daemon): Promise<void> {
  try {
    await eventually(() => existsSync(`/proc/${pid}/root/run/containerd/containerd.sock`), BOOT_WITHIN_MS);
  } catch (cause) {
    throw new MantaError('NodeStart', `containerd does not come up: ${lastLines(daemon.logFile)}`, { cause });
  }
}
