import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { Logger } from 'pino';
import { createTable, sessionClient } from '../../faults/shard/load-client.ts';
import { connectReadWrite } from '../../faults/shard/multi-host.ts';
import { type EtcdCluster, startEtcdCluster } from '../../lib/etcd-process/etcd-cluster.ts';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { type Profile, speeds } from './patroni-config.ts';
import type { PatroniProgram } from './patroni-install.ts';
import { PatroniNode } from './patroni-node.ts';
import { peerTable } from './peer-table.ts';
import { type Fault, interruptEtcd, type System } from './system.ts';

interface Member {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly timeline?: number | string;
  readonly lag?: number | string;
}

interface PatroniOptions {
  readonly dir: string;
  readonly profile: Profile;
  readonly program: PatroniProgram;
  readonly bin: string;
}

const NODES = 3;
/** Between two attempts of a client to find the primary: eight of them must not starve the servers that are about to take over. */
const AGAIN_MS = 50;

/** Three Patroni nodes over three etcd members, with the durability that a shard has. Nothing runs before `start`. */
export function createPatroni(deps: { logger: Logger }, options: PatroniOptions): System {
  const { program } = options;
  const speed = speeds[options.profile];
  const password = randomBytes(18).toString('base64url');
  let etcd: EtcdCluster | undefined;
  let nodes: readonly PatroniNode[] = [];

  async function start(): Promise<void> {
    await mkdir(options.dir, { recursive: true, mode: 0o755 });
    etcd = await startEtcdCluster(deps, { members: 3, dir: join(options.dir, 'etcd') });
    const ports = await freePorts(2 * NODES);
    const hosts = etcd.endpoints.map(endpoint => new URL(endpoint).host);
    nodes = Array.from({ length: NODES }, (_, index) => {
      const name = `node-${index}`;
      const [postgresPort = 0, apiPort = 0] = ports.slice(2 * index);
      const dir = join(options.dir, name);
      return new PatroniNode(program, {
        name,
        speed,
        etcd: hosts,
        dir,
        postgresPort,
        apiPort,
        bin: options.bin,
        password,
      });
    });
    for (const node of nodes) node.start();
  }

  /** The first node that answers knows all: the cluster's state is in etcd. */
  async function members(): Promise<readonly Member[]> {
    const { text } = await Promise.any(nodes.filter(node => node.isRunning).map(node => node.ask('/cluster')));
    return (JSON.parse(text) as { members?: readonly Member[] }).members ?? [];
  }

  async function holder(role: 'leader' | 'sync_standby'): Promise<PatroniNode> {
    const name = (await members()).find(member => member.role === role)?.name;
    const node = nodes.find(({ config }) => config.name === name);
    if (node === undefined) throw new Error(`Patroni has no ${role}`);
    return node;
  }

  async function switchover(from: PatroniNode, to: PatroniNode): Promise<void> {
    const { status, text } = await from.ask(
      '/switchover',
      { leader: from.config.name, candidate: to.config.name },
      (speed.ttl + 3 * speed.loopWait) * 1000,
    );
    if (status !== 200) throw new Error(`Patroni refused the switchover: ${status} ${text}`);
  }

  const addresses = (): pg.ClientConfig[] => nodes.map(address);
  const address = ({ config }: PatroniNode): pg.ClientConfig => ({
    host: '127.0.0.1',
    port: config.postgresPort,
    user: 'postgres',
    password,
    database: 'postgres',
  });

  return {
    name: `patroni ${program.version} ${options.profile}`,
    facts: { patroni: program.version, profile: options.profile, ...speed },
    loopMs: speed.loopWait * 1000,
    start,
    async waitHealthy(withinMs) {
      try {
        await eventually(async () => demandHealth(await members()), withinMs);
      } catch (error) {
        const logs = nodes.map(node => `${node.config.name}:\n${node.logTail()}`).join('\n');
        throw new Error(`Patroni is not healthy after ${withinMs} ms: ${String(error)}\n${logs}`, { cause: error });
      }
    },
    async prepare(fault: Fault) {
      const [leader, sync] = await Promise.all([holder('leader'), holder('sync_standby')]);
      if (fault === 'kill-postmaster') {
        const pid = leader.postmaster();
        return async () => void process.kill(pid, 'SIGKILL');
      }
      const members = etcd;
      if (fault === 'etcd-outage' && members !== undefined) return () => interruptEtcd(members);
      if (fault === 'switchover') return () => switchover(leader, sync);
      return () => (fault === 'kill-node' ? leader : sync).kill();
    },
    primary: async () => (await holder('leader')).config.name,
    async repair() {
      for (const node of nodes) node.start();
    },
    async createTable(table) {
      const client = await connectReadWrite(addresses());
      for (const text of createTable(table)) await client.query(text);
      await client.end();
    },
    client: table => sessionClient({ table, connect: () => connectReadWrite(addresses()), againMs: AGAIN_MS }),
    async peers() {
      const leader = await holder('leader');
      return [leader, ...nodes.filter(node => node !== leader)].map(node => peerTable(node.config.name, address(node)));
    },
    async stop() {
      await Promise.all(nodes.map(node => node.kill()));
      await etcd?.stop();
    },
  };
}

/** Three members on one timeline, and `/cluster` names the synchronous standby: a row of pg_stat_replication is not enough (§15). */
function demandHealth(members: readonly Member[]): void {
  const roles = members.map(({ role }) => role).sort();
  const isWhole = roles.join() === 'leader,replica,sync_standby';
  const isRunning = members.every(({ state }) => state === 'running' || state === 'streaming');
  const isLevel = new Set(members.map(({ timeline }) => timeline)).size === 1;
  const isNear = members.every(({ lag }) => lag === undefined || Number(lag) < 1 << 20);
  if (!(isWhole && isRunning && isLevel && isNear)) throw new Error(JSON.stringify(members));
}
