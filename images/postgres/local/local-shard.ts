import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Coordinator } from '../../../lib/coordinator/coordinator.ts';
import { createEtcdCoordinator } from '../../../lib/coordinator/etcd.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { type EtcdCluster, startEtcdCluster } from '../../../lib/etcd-process/etcd-cluster.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { type ShardKeys, shardKeys } from '../../../lib/shard/keys.ts';
import { createLayout, hostsOf, keepPasswords, type Layout, passwordDirOf, readLayout } from './layout.ts';
import { createNetwork, type Network } from './network.ts';
import { ROOT_KEY, sitterUrls } from './open-shard.ts';
import { peerConfig } from './peer-config.ts';
import { createPeerProcess, type PeerProcess } from './peer-process.ts';
import { createShardClient, type ShardClient } from './shard-client.ts';
import { isHealthy, isWritable, type ShardStatus, shardStatus } from './shard-status.ts';

/** What to start. All but `dir` and `databases` counts for a new shard only: an old one is continued as it was made. */
export interface LocalShardConfig {
  /** Holds everything; processes run by root drop to `nobody`, who must be able to pass through its parents. */
  readonly dir: string;
  readonly peers: 1 | 3 | 5;
  readonly etcdMembers: 1 | 3;
  /** `namespaces`: every peer and etcd member on a host of its own, whose links can be cut. Root only. */
  readonly hosts: 'loopback' | 'namespaces';
  readonly databases: readonly string[];
  /** WAL goes to a directory `wal` beside each peer's `data`, on which a file system may be mounted before. */
  readonly walVolumes?: boolean;
  /** Further settings of postgresql.conf. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Where its backups go: an address as of `config.backup`. Counts for an old shard, too. */
  readonly backup?: string;
  /** Make its database of a backup. Throws MantaError `ShardExists` for an old shard. */
  readonly restore?: { readonly from: string; readonly until?: string };
  /** For people: what is being waited for. */
  readonly onProgress?: (text: string) => void;
  /** Aborted while the shard is not writable yet, it ends the start, and all that runs of it. */
  readonly signal?: AbortSignal;
}

export interface LocalPeer extends PeerProcess {
  readonly id: string;
  /** Its host on the network, where there is one. */
  readonly host: string;
  readonly dir: string;
  readonly logFile: string;
  readonly pg: { readonly host: string; readonly port: number };
  readonly sitterUrl: string;
}

/** A shard on this machine: etcd, sitters and their PostgreSQL as processes, which end with this one. */
export interface LocalShard {
  /** For `shardKeys` and the resolver. */
  readonly number: number;
  readonly keys: ShardKeys;
  readonly etcd: EtcdCluster;
  readonly peers: readonly LocalPeer[];
  /** By role. */
  readonly passwords: Readonly<Record<string, string>>;
  readonly network: Network | undefined;
  readonly coordinator: Coordinator;
  readonly client: ShardClient;
  peer(id: string): LocalPeer;
  /** What etcd and the sitters say now. */
  status(): Promise<ShardStatus>;
  /** Resolves when the primary's gate is open. Throws MantaError `ShardNotReady` after `withinMs`, saying why. */
  waitUntilWritable(withinMs?: number): Promise<ShardStatus>;
  /** The same for the whole: every peer in the chain and streaming, nobody deposed. */
  waitUntilHealthy(withinMs?: number): Promise<ShardStatus>;
  /** The peers in order, then etcd. The state stays. Idempotent. */
  stop(): Promise<void>;
}

const SHARD = 1;
const WRITABLE_MS = 120_000;
const HEALTHY_MS = 120_000;
const STOP_MS = 40_000;
const RECOVERY_DAYS = 14;

/** Starts a shard, or goes on with the one the directory holds, and resolves when it is writable. */
export async function startLocalShard(
  deps: { readonly logger: Logger; readonly clock: Clock },
  config: LocalShardConfig,
): Promise<LocalShard> {
  const dir = resolve(config.dir);
  mkdirSync(dir, { recursive: true });
  const kept = readLayout(dir);
  if (kept !== undefined && config.restore !== undefined)
    throw new MantaError('ShardExists', `${dir} holds a shard: a backup is restored into a new one (--dir)`);
  const network = await networkFor(kept, config);
  const stops: (() => Promise<void>)[] = network === undefined ? [] : [() => network.remove()];
  try {
    const subnet = network?.address(hostsOf({ peers: 1, etcd: 0 })[0] ?? '').replace(/\.\d+$/, '');
    const layout = kept ?? (await createLayout(dir, { walVolumes: false, ...config, shard: SHARD, subnet }));
    config.onProgress?.('etcd');
    const etcd = await startEtcdCluster(deps, etcdConfig(dir, layout, network));
    stops.push(() => etcd.stop());
    const coordinator = createEtcdCoordinator(deps, { endpoints: etcd.endpoints, deadlineMs: 2_000 });
    stops.push(() => coordinator.close());
    const shard = assemble(deps, { dir, layout, network, etcd, coordinator, stops });
    await describeShard(shard.client, layout, config, deps.clock);
    stops.push(() => stopPeers(shard.peers));
    for (const peer of shard.peers) peer.start();
    await untilTrue(shard, isWritable, WRITABLE_MS, config);
    return shard;
  } catch (error) {
    await stopAll(stops);
    throw error;
  }
}

/** What the operator writes: of a new shard everything, of an old one where its backups go. */
async function describeShard(client: ShardClient, layout: Layout, config: LocalShardConfig, clock: Clock) {
  const { parameters = {}, restore } = config;
  const backup = config.backup === undefined ? {} : { backup: { target: config.backup, recoveryDays: RECOVERY_DAYS } };
  await client.create(
    { peers: layout.peers.length, failover: 'auto', databases: layout.databases, parameters, ...backup },
    { at: new Date(clock.now()).toISOString(), ...(restore === undefined ? {} : { restore }) },
  );
  if (config.backup !== undefined) await client.configure(before => ({ ...before, ...backup }));
}

function networkFor(kept: Layout | undefined, config: LocalShardConfig): Promise<Network | undefined> {
  const isNamespaces = (kept?.hosts ?? config.hosts) === 'namespaces';
  if (!isNamespaces) return Promise.resolve(undefined);
  const hosts = hostsOf({ peers: kept?.peers.length ?? config.peers, etcd: kept?.etcd.length ?? config.etcdMembers });
  return createNetwork({ hosts, ...(kept?.subnet === undefined ? {} : { subnet: kept.subnet }) });
}

function etcdConfig(dir: string, layout: Layout, network: Network | undefined) {
  const text = ({ host, port }: { host: string; port: number }) => `${host}:${port}`;
  return {
    members: layout.etcd.length as 1 | 3,
    dir: join(dir, 'etcd'),
    addresses: layout.etcd.map(({ client, peer }) => ({ client: text(client), peer: text(peer) })),
    ...(network === undefined ? {} : { commandPrefix: (member: number) => network.command(`etcd${member}`) }),
  };
}

interface Parts {
  readonly dir: string;
  readonly layout: Layout;
  readonly network: Network | undefined;
  readonly etcd: EtcdCluster;
  readonly coordinator: Coordinator;
  readonly stops: (() => Promise<void>)[];
}

function assemble(deps: { readonly logger: Logger }, parts: Parts): LocalShard {
  const { dir, layout, network, etcd, coordinator, stops } = parts;
  const keys = shardKeys(ROOT_KEY, layout.shard);
  const passwords = keepPasswords(dir);
  const client = createShardClient(coordinator, keys, 'local');
  const peers = layout.peers.map((place, index) => createPeer(deps, parts, place, `peer${index}`));
  let stopped: Promise<void> | undefined;
  const shard: LocalShard = {
    number: layout.shard,
    keys,
    etcd,
    peers,
    passwords,
    network,
    coordinator,
    client,
    peer(id) {
      const found = peers.find(peer => peer.id === id);
      if (found === undefined) {
        throw new MantaError('NoSuchPeer', `no peer is called ${id}: there are ${peers.map(p => p.id).join(', ')}`);
      }
      return found;
    },
    status: () => shardStatus(client, sitterUrls(layout)),
    waitUntilWritable: (withinMs = WRITABLE_MS) => untilTrue(shard, isWritable, withinMs),
    waitUntilHealthy: (withinMs = HEALTHY_MS) => untilTrue(shard, isHealthy, withinMs),
    stop() {
      stopped ??= stopAll(stops);
      return stopped;
    },
  };
  return shard;
}

function createPeer(
  deps: { readonly logger: Logger },
  { dir, layout, network, etcd }: Parts,
  place: Layout['peers'][number],
  host: string,
): LocalPeer {
  const home = join(dir, place.id);
  for (const name of ['data/sitter', 'run', ...(layout.walVolumes ? ['wal'] : [])])
    mkdirSync(join(home, name), { recursive: true });
  const logFile = join(home, 'peer.log');
  const configFile = join(home, 'config.json');
  const config = peerConfig({
    shard: layout.shard,
    rootKey: ROOT_KEY,
    place,
    home,
    etcdEndpoints: etcd.endpoints,
    passwordDir: passwordDirOf(dir),
    hasWalVolume: layout.walVolumes,
  });
  writeFileSync(configFile, `${JSON.stringify(config, null, 2)}\n`);
  const downFile = join(home, 'down');
  rmSync(downFile, { force: true });
  const main = join(import.meta.dirname, '..', 'main.ts');
  const processes = createPeerProcess(deps, {
    id: place.id,
    program: [process.execPath, main],
    configFile,
    ...(network === undefined ? {} : { prefix: network.command(host) }),
    lockFile: join(home, 'data', 'sitter', 'lock'),
    logFile,
    downFile,
  });
  const facts = { id: place.id, host, dir: home, logFile, pg: place.pg, sitterUrl: urlOf(place.sitter) };
  return {
    ...processes,
    ...facts,
    // A spread would keep what it says now.
    get isRunning() {
      return processes.isRunning;
    },
  };
}

function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `http://${host}:${port}`;
}

async function untilTrue(
  shard: LocalShard,
  question: (status: ShardStatus) => string | undefined,
  withinMs: number,
  { onProgress, signal }: Pick<LocalShardConfig, 'onProgress' | 'signal'> = {},
): Promise<ShardStatus> {
  const until = performance.now() + withinMs;
  let said: string | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const status = await shard.status().catch(() => undefined);
    const obstacle = status === undefined ? 'etcd does not answer' : question(status);
    if (status !== undefined && obstacle === undefined) return status;
    if (obstacle !== undefined && obstacle !== said) onProgress?.(obstacle);
    said = obstacle;
    if (performance.now() > until) {
      const logs = shard.peers.map(peer => peer.logFile).join(', ');
      throw new MantaError('ShardNotReady', `after ${withinMs / 1000} s: ${obstacle} (logs: ${logs})`);
    }
    await sleep(50);
  }
}

/** All at once: a primary whose peers are ending, too, need not hand over (replication.md §7.13). */
async function stopPeers(peers: readonly LocalPeer[]): Promise<void> {
  await Promise.all(peers.map(peer => peer.terminate(STOP_MS)));
}

async function stopAll(stops: (() => Promise<void>)[]): Promise<void> {
  for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) await stop();
}
