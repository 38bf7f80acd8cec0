import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { MantaError } from '../../../lib/errors/manta-error.ts';

const run = promisify(execFile);

/**
 * Hosts on one machine: a network namespace each, joined by a bridge, which this process's own namespace is on, too. Only
 * root can make it. What a cut takes away it takes silently, as a dead link does: nothing is refused, nothing is reset.
 */
export interface Network {
  /** IPv4 address of a host, or of this process as the others see it. */
  address(host: string): string;
  /** To put before a command that is to run on the host. It execs, so the process id stays. */
  command(host: string): readonly string[];
  /** Packets from one to the other vanish. One way only. */
  cut(from: string, to: string): Promise<void>;
  /** Ends a cut, also one that was never made. */
  heal(from: string, to: string): Promise<void>;
  /** Nothing reaches the host and nothing leaves it. */
  isolate(host: string): Promise<void>;
  rejoin(host: string): Promise<void>;
  /** From now on the address of one host, which vanishes, leads to another host. */
  giveAddress(from: string, to: string): Promise<void>;
  /** Ends all cuts and isolations, and gives addresses back. */
  healAll(): Promise<void>;
  /** The hosts are gone; what still runs there has no network any more. Idempotent. */
  remove(): Promise<void>;
}

/** The name of this process on the network. */
export const OWN_HOST = 'own';

const NAMES = { namespace: /^manta-(\d+)-/, bridge: /\bmb(\d+)\b/ };
/** An address that nobody has: the bridge hands its frames to everybody, and nobody takes them. */
const NOBODY = '02:00:00:00:00:01';

export interface NetworkConfig {
  /** Short names, the first gets the address ending in 1. */
  readonly hosts: readonly string[];
  /** The first three numbers of the addresses; without, some that this machine does not use. */
  readonly subnet?: string;
}

/** Whether this process may make networks. */
export function canMakeNetworks(): boolean {
  return process.getuid?.() === 0 && spawnSync('ip', ['netns', 'list'], { stdio: 'ignore' }).status === 0;
}

/** Also removes what killed processes left behind. Throws MantaError `NetworkUnavailable`; nothing is left then. */
export async function createNetwork(config: NetworkConfig): Promise<Network> {
  if (!canMakeNetworks()) {
    throw new MantaError('NetworkUnavailable', 'network namespaces need root and the program ip (iproute2)');
  }
  await removeLeftovers();
  const network = new BridgedNetwork(config, config.subnet ?? (await unusedSubnet()));
  try {
    await network.create();
  } catch (cause) {
    await network.remove();
    throw new MantaError('NetworkUnavailable', `no network: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
  return network;
}

class BridgedNetwork implements Network {
  readonly #hosts: readonly string[];
  readonly #subnet: string;
  readonly #bridge = `mb${process.pid}`;
  readonly #cuts = new Map<string, readonly [from: string, to: string]>();
  readonly #isolated = new Set<string>();
  readonly #given = new Map<string, string>();

  constructor({ hosts }: NetworkConfig, subnet: string) {
    this.#hosts = hosts;
    this.#subnet = subnet;
  }

  async create(): Promise<void> {
    await ip(['link', 'add', this.#bridge, 'type', 'bridge']);
    await ip(['addr', 'add', `${this.address(OWN_HOST)}/24`, 'dev', this.#bridge]);
    await ip(['link', 'set', this.#bridge, 'up']);
    for (const host of this.#hosts) {
      const namespace = this.#namespace(host);
      await ip(['netns', 'add', namespace]);
      await ip(['link', 'add', this.#port(host), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
      await ip(['link', 'set', this.#port(host), 'master', this.#bridge, 'up']);
      await ip(['-n', namespace, 'addr', 'add', `${this.address(host)}/24`, 'dev', 'eth0']);
      await ip(['-n', namespace, 'link', 'set', 'lo', 'up']);
      await ip(['-n', namespace, 'link', 'set', 'eth0', 'up']);
    }
  }

  address(host: string): string {
    return `${this.#subnet}.${host === OWN_HOST ? 254 : this.#indexOf(host) + 1}`;
  }

  command(host: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(host)];
  }

  async cut(from: string, to: string): Promise<void> {
    this.#cuts.set(`${from} ${to}`, [from, to]);
    const where = [
      'neigh',
      'replace',
      this.address(to),
      'lladdr',
      NOBODY,
      'dev',
      this.#device(from),
      'nud',
      'permanent',
    ];
    await ip([...this.#inside(from), ...where]);
  }

  async heal(from: string, to: string): Promise<void> {
    if (!this.#cuts.delete(`${from} ${to}`)) return;
    await ip([...this.#inside(from), 'neigh', 'del', this.address(to), 'dev', this.#device(from)]);
  }

  async isolate(host: string): Promise<void> {
    this.#isolated.add(host);
    await this.#plug(host, false);
  }

  async rejoin(host: string): Promise<void> {
    if (this.#isolated.delete(host)) await this.#plug(host, true);
  }

  async giveAddress(from: string, to: string): Promise<void> {
    this.#given.set(from, to);
    await this.isolate(from);
    await ip([...this.#inside(to), 'addr', 'add', `${this.address(from)}/32`, 'dev', this.#device(to)]);
    const [link] = JSON.parse(await ip([...this.#inside(to), '-j', 'link', 'show', 'dev', this.#device(to)])) as [
      { readonly address: string },
    ];
    // What the others remember of the address leads nowhere now.
    for (const other of this.#others(from, to)) {
      const where = [this.address(from), 'lladdr', link.address, 'dev', this.#device(other), 'nud', 'permanent'];
      await ip([...this.#inside(other), 'neigh', 'replace', ...where]);
    }
  }

  async #takeBack(from: string, to: string): Promise<void> {
    this.#given.delete(from);
    await ip([...this.#inside(to), 'addr', 'del', `${this.address(from)}/32`, 'dev', this.#device(to)]);
    for (const other of this.#others(from, to)) {
      await ip([...this.#inside(other), 'neigh', 'del', this.address(from), 'dev', this.#device(other)]);
    }
  }

  #others(...hosts: readonly string[]): readonly string[] {
    return [OWN_HOST, ...this.#hosts].filter(host => !hosts.includes(host));
  }

  async healAll(): Promise<void> {
    for (const [from, to] of [...this.#given]) await this.#takeBack(from, to);
    for (const [from, to] of [...this.#cuts.values()]) await this.heal(from, to);
    for (const host of [...this.#isolated]) await this.rejoin(host);
  }

  async remove(): Promise<void> {
    for (const host of this.#hosts) await ip(['netns', 'del', this.#namespace(host)]).catch(() => {});
    await ip(['link', 'del', this.#bridge]).catch(() => {});
  }

  /** Takes the host's cable out of the bridge; its own interface stays up and hears nothing. */
  async #plug(host: string, isIn: boolean): Promise<void> {
    await ip(['link', 'set', 'dev', this.#port(host), ...(isIn ? ['master', this.#bridge] : ['nomaster'])]);
  }

  #inside(host: string): readonly string[] {
    return host === OWN_HOST ? [] : ['-n', this.#namespace(host)];
  }

  #device(host: string): string {
    return host === OWN_HOST ? this.#bridge : 'eth0';
  }

  #namespace(host: string): string {
    return `manta-${process.pid}-${host}`;
  }

  #port(host: string): string {
    return `v${process.pid}n${this.#indexOf(host)}`;
  }

  #indexOf(host: string): number {
    const index = this.#hosts.indexOf(host);
    if (index < 0) throw new Error(`no host of this network is called ${host}`);
    return index;
  }
}

async function ip(args: readonly string[]): Promise<string> {
  return (await run('ip', [...args], { timeout: 10_000 })).stdout;
}

async function removeLeftovers(): Promise<void> {
  for (const line of (await ip(['netns', 'list'])).split('\n')) {
    const name = line.split(' ')[0] ?? '';
    const owner = Number(NAMES.namespace.exec(name)?.[1]);
    if (owner > 0 && !isAlive(owner)) await ip(['netns', 'del', name]).catch(() => {});
  }
  for (const line of (await ip(['-o', 'link', 'show', 'type', 'bridge'])).split('\n')) {
    const [name, owner] = NAMES.bridge.exec(line) ?? [];
    if (name !== undefined && !isAlive(Number(owner))) await ip(['link', 'del', name]).catch(() => {});
  }
}

async function unusedSubnet(): Promise<string> {
  const used = await ip(['-o', '-4', 'addr', 'show']);
  for (let number = process.pid; ; number += 1) {
    const subnet = `10.${64 + ((number >> 8) & 63)}.${number & 255}`;
    if (!used.includes(` ${subnet}.`)) return subnet;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
