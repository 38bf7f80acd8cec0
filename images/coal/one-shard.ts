import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { createEtcdCoordinator } from '../../lib/coordinator/etcd.ts';
import type { MantaError } from '../../lib/errors/manta-error.ts';
import { findEtcd } from '../../lib/etcd-process/find-etcd.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createResolvers } from '../../lib/shard/resolvers.ts';
import { type LocalShard, startLocalShard } from '../postgres/local/local-shard.ts';
import { ROOT_KEY } from '../postgres/local/open-shard.ts';
import { findBinaries } from '../postgres/pg/binaries.ts';
import { shardDirOf } from './database-kind.ts';
import { type DatabaseHost, REGION_DATABASES } from './databases.ts';
import type { Parts } from './parts.ts';

export interface OneShardConfig {
  /** State directory of the region. */
  readonly dir: string;
  readonly peers: 1 | 3 | 5;
  readonly signal: AbortSignal;
  /** For people: what is being waited for. */
  readonly say: (text: string) => void;
}

const REMARK_AFTER_MS = 3_000;

/**
 * Starts a shard that holds all databases of the region, and follows its primary. Throws MantaError `PostgresMissing` or
 * `EtcdMissing`, which say what to install, before anything is made.
 */
export async function startOneShard(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly registry: Registry },
  { dir, peers, signal, say }: OneShardConfig,
  parts: Parts,
): Promise<DatabaseHost> {
  findBinaries();
  await findEtcdPatiently(deps, say);
  signal.throwIfAborted();
  const shard = await startLocalShard(deps, {
    dir: shardDirOf(dir),
    peers,
    etcdMembers: peers === 1 ? 1 : 3,
    hosts: 'loopback',
    databases: REGION_DATABASES,
    onProgress: eachOnce(say),
    signal,
  });
  parts.add('shard', () => shard.stop());
  // One of its own, as every program of a region has: the shard's waits longer than a request can.
  const coordinator = createEtcdCoordinator(deps, { endpoints: shard.etcd.endpoints });
  parts.add('nameservice', () => coordinator.close());
  const resolvers = createResolvers({ ...deps, coordinator, fetch }, { root: ROOT_KEY, program: 'webapi' });
  parts.add('resolvers', () => resolvers.close());
  const resolver = resolvers.of(shard.number);
  const settings = (database: string, user: string) => {
    const password = shard.passwords[user];
    return () => ({ database, user, ...(password === undefined ? {} : { password }) });
  };
  return {
    // The primary's sitter has made roles and databases before it let anybody in.
    prepare: async () => {},
    target: (database, role) => resolver.target(settings(database, role)),
    failed: never,
    abandon: () => abandon(shard),
  };
}

async function findEtcdPatiently(deps: { readonly logger: Logger }, say: (text: string) => void): Promise<void> {
  const remark = setTimeout(() => say('building etcd, because none is installed: once, some minutes'), REMARK_AFTER_MS);
  try {
    await findEtcd(deps);
  } finally {
    clearTimeout(remark);
  }
}

/** Peers go to and fro between two obstacles while a third one lasts. */
function eachOnce(say: (text: string) => void): (text: string) => void {
  const said = new Set<string>();
  return text => {
    if (!said.has(text)) say(text);
    said.add(text);
  };
}

/** A peer that ends is started again. */
const never = new Promise<MantaError>(() => {});

/** Where the system allows it, all of it ends with this process; elsewhere it would be left behind. */
function abandon({ peers, etcd }: LocalShard): void {
  for (const peer of peers) void peer.killTree({ stayDown: true });
  void etcd.stop();
}
