import { join } from 'node:path';
import type { Logger } from 'pino';
import { createEtcdMember, type EtcdMember } from './etcd-member.ts';
import { findEtcd } from './find-etcd.ts';
import { freePorts } from './ports.ts';

export interface EtcdClusterConfig {
  readonly members: 1 | 3;
  /** Every member gets a directory in it. */
  readonly dir: string;
  /** Milliseconds; replication.md appendix A. The election timeout also decides the shortest lease. */
  readonly heartbeatMs?: number;
  readonly electionMs?: number;
  /** Addresses of the members, ports 2379 and 2380 each. Without: free ports of the loopback interface. */
  readonly hosts?: readonly string[];
  /** `host:port` of every member in full, for a cluster that is started again on its directory. In place of `hosts`. */
  readonly addresses?: readonly { readonly client: string; readonly peer: string }[];
  /** What to run a member's command under: `['ip', 'netns', 'exec', NAME]`. It must `exec`. */
  readonly commandPrefix?: (member: number) => readonly string[];
  /** No fsync: for tests that kill processes only, never machines. */
  readonly unsafeNoFsync?: boolean;
  /** Further flags of etcd's, for every member. With TLS flags for clients set `scheme` to https. */
  readonly args?: readonly string[];
  readonly scheme?: 'http' | 'https';
}

/** Running etcd processes that know each other. */
export interface EtcdCluster {
  readonly members: readonly EtcdMember[];
  /** What a client needs. */
  readonly endpoints: readonly string[];
  /** The member that a majority follows; undefined while there is none. Asks over plain HTTP, without authentication. */
  leader(): Promise<EtcdMember | undefined>;
  /**
   * Ends all members by a kill, through which etcd keeps whatever it has acknowledged: in an orderly stop the last ones
   * would wait for a majority that has left. Idempotent.
   */
  stop(): Promise<void>;
}

/**
 * Starts one or three members and resolves when all serve clients. They end with this process. Throws MantaError
 * `EtcdMissing` or `EtcdStart`; nothing runs then.
 */
export async function startEtcdCluster(deps: { logger: Logger }, config: EtcdClusterConfig): Promise<EtcdCluster> {
  const program = await findEtcd(deps);
  const addresses = await addressesOf(config);
  const scheme = config.scheme ?? 'http';
  const names = addresses.map((_, index) => `etcd-${index}`);
  const initial = addresses.map(({ peer }, index) => `${names[index]}=http://${peer}`).join(',');
  const members = addresses.map(({ client, peer }, index) =>
    createEtcdMember({
      name: names[index] as string,
      endpoint: `${scheme}://${client}`,
      dir: join(config.dir, names[index] as string),
      program,
      commandPrefix: config.commandPrefix?.(index) ?? [],
      args: [
        ...['--name', names[index] as string],
        ...['--listen-client-urls', `${scheme}://${client}`, '--advertise-client-urls', `${scheme}://${client}`],
        ...['--listen-peer-urls', `http://${peer}`, '--initial-advertise-peer-urls', `http://${peer}`],
        ...['--initial-cluster', initial, '--initial-cluster-state', 'new'],
        ...flagsOf(config),
      ],
    }),
  );
  const stop = async () => {
    await Promise.all(members.map(member => member.kill()));
  };
  try {
    await Promise.all(members.map(member => member.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { members, endpoints: members.map(member => member.endpoint), leader: () => leaderOf(members), stop };
}

/** The client of `lib/coordinator` pings every second: a server with its own default of 5 s would hang up on it. */
function flagsOf(config: EtcdClusterConfig): string[] {
  return [
    ...['--heartbeat-interval', String(config.heartbeatMs ?? 50)],
    ...['--election-timeout', String(config.electionMs ?? 500)],
    ...['--grpc-keepalive-min-time', '500ms'],
    ...['--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '1h'],
    ...(config.unsafeNoFsync === true ? ['--unsafe-no-fsync'] : []),
    ...(config.args ?? []),
  ];
}

async function addressesOf(config: EtcdClusterConfig): Promise<readonly { client: string; peer: string }[]> {
  if (config.addresses !== undefined) {
    if (config.addresses.length !== config.members) throw new RangeError('one address for every member');
    return config.addresses;
  }
  if (config.hosts !== undefined) {
    if (config.hosts.length !== config.members) throw new RangeError('one host for every member');
    return config.hosts.map(host => ({ client: `${host}:2379`, peer: `${host}:2380` }));
  }
  const ports = await freePorts(2 * config.members);
  return Array.from({ length: config.members }, (_, index) => ({
    client: `127.0.0.1:${ports[2 * index]}`,
    peer: `127.0.0.1:${ports[2 * index + 1]}`,
  }));
}

interface Status {
  readonly header?: { readonly member_id?: string };
  readonly leader?: string;
}

async function leaderOf(members: readonly EtcdMember[]): Promise<EtcdMember | undefined> {
  const leads = await Promise.all(
    members.map(async ({ endpoint }) => {
      try {
        const url = `${endpoint}/v3/maintenance/status`;
        const response = await fetch(url, { method: 'POST', body: '{}', signal: AbortSignal.timeout(1_000) });
        const status = (await response.json()) as Status;
        return status.leader !== undefined && status.leader === status.header?.member_id;
      } catch {
        return false;
      }
    }),
  );
  return members[leads.indexOf(true)];
}
