import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Logger } from 'pino';
import {
  type LocalPeer,
  type LocalShard,
  type LocalShardConfig,
  startLocalShard,
} from '../../images/postgres/local/local-shard.ts';
import { createEtcdCoordinator } from '../../lib/coordinator/etcd.ts';
import { followPrefix } from '../../lib/coordinator/follow-prefix.ts';
import { createPool, type Pool, poolDefaults } from '../../lib/database/pool.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createAskPrimary } from '../../lib/shard/ask-primary.ts';
import { parseLsn } from '../../lib/shard/lsn.ts';
import { createResolver, resolverDefaults } from '../../lib/shard/resolver.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import { check, type PeerTable, type Verdict } from './checker.ts';
import { createTable, type Durability, poolClient } from './load-client.ts';
import { type Loader, startLoader } from './loader.ts';

/** The peers by what they are now. */
export interface Roles {
  readonly state: ClusterState;
  readonly primary: LocalPeer;
  readonly sync: LocalPeer;
  readonly async: LocalPeer;
}

/** A shard under test with clients that follow its primary as our programs do. */
export interface Rig {
  readonly shard: LocalShard;
  /** Throws while there are not all three of them in the chain. */
  roles(): Promise<Roles>;
  state(): Promise<ClusterState>;
  /** Resolves with the state once `is` holds. Rejects after `withinMs`. */
  stateWhen(is: (state: ClusterState) => boolean, withinMs: number, what: string): Promise<ClusterState>;
  /** Writers on a table of their own, already acknowledged once. */
  load(options?: { readonly durability?: Durability; readonly paceMs?: number }): Promise<Loader>;
  /** Ends the load, waits until the shard has healed and the standbys have caught up, and checks. */
  check(loader: Loader): Promise<Verdict>;
  /** One statement as superuser on one peer's server, by its socket; rows of text. */
  query(peer: LocalPeer, text: string, database?: string): Promise<readonly (readonly string[])[]>;
  close(): Promise<void>;
}

export const FAULTS_DATABASE = 'faults';
const CATCH_UP_MS = 60_000;

/** Starts a new shard in the directory and a client of it. */
export async function createRig(
  deps: { readonly logger: Logger; readonly clock: Clock },
  config: Omit<LocalShardConfig, 'databases'>,
): Promise<Rig> {
  const shard = await startLocalShard(deps, { ...config, databases: [FAULTS_DATABASE] });
  const coordinator = createEtcdCoordinator(deps, { endpoints: shard.etcd.endpoints });
  const view = followPrefix(deps, coordinator, shard.keys.prefix);
  const resolver = createResolver(
    { ...deps, source: view, keys: shard.keys, askPrimary: createAskPrimary({ fetch }) },
    // Waits out whatever a fault takes: what clients feel is the gap, not how soon they are told to give up.
    { ...resolverDefaults, shard: shard.number, queueMs: 60_000, patienceMs: 60_000 },
  );
  const password = shard.passwords.manta_webapi ?? '';
  const target = resolver.target(() => ({ user: 'manta_webapi', password, database: FAULTS_DATABASE }));
  const pools: Pool[] = [];
  const tables = new Map<Loader, { readonly table: string; readonly seq: number }>();
  let loads = 0;

  const rig: Rig = {
    shard,
    async state() {
      const state = (await shard.client.read()).state?.value;
      if (state === undefined) throw new Error('there is no cluster state');
      return state;
    },
    async roles() {
      const state = await rig.state();
      if (state.sync === null || state.async[0] === undefined) throw new Error('the chain is not complete');
      const [primary, sync, async] = [state.primary, state.sync, state.async[0]].map(({ id }) => shard.peer(id));
      return { state, primary, sync, async } as Roles;
    },
    async stateWhen(is, withinMs, what) {
      let state: ClusterState | undefined;
      await eventually(async () => {
        state = await rig.state();
        if (!is(state)) throw new Error(`${what}: not within ${withinMs} ms; generation ${state.generation}`);
      }, withinMs);
      return state as ClusterState;
    },
    async load({ durability = 'on', paceMs } = {}) {
      loads += 1;
      const table = `fault_${loads}`;
      await shard.waitUntilHealthy();
      const { state, primary } = await rig.roles();
      await rig.query(primary, ['SET ROLE manta_owner', ...createTable(table, 'manta_webapi')].join('; '));
      const pool = createPool(deps, target, {
        ...poolDefaults,
        name: table,
        size: 10,
        maxWaitMs: 60_000,
        statementTimeoutMs: 60_000,
        lockTimeoutMs: 60_000,
        defaultDeadlineMs: 90_000,
      });
      pools.push(pool);
      const connect = () => poolClient(pool, table, durability);
      const loader = startLoader(deps, { connect, ...(paceMs === undefined ? {} : { paceMs }) });
      tables.set(loader, { table, seq: state.seq });
      await loader.acknowledged(30_000);
      return loader;
    },
    async check(loader) {
      const { table, seq } = tables.get(loader) ?? { table: '', seq: 0 };
      const journal = await loader.stop();
      await shard.waitUntilHealthy();
      const { primary } = await rig.roles();
      await caughtUp(rig, primary);
      const others = shard.peers.filter(peer => peer !== primary);
      const peers = [primary, ...others].map(
        (peer): PeerTable => ({ name: peer.id, query: text => rig.query(peer, text, FAULTS_DATABASE) }),
      );
      const history = (await shard.client.history()).map(entry => entry.state).filter(state => state.seq >= seq);
      return check({ journal, writers: loader.writers, table, peers, history });
    },
    async query(peer, text, database = FAULTS_DATABASE) {
      const client = new pg.Client({ ...socketOf(peer), user: 'postgres', database });
      client.on('error', () => {});
      await client.connect();
      try {
        // Several statements give several results: the last one counts.
        const results = [await client.query<unknown[]>({ text, rowMode: 'array' })].flat();
        return (results.at(-1)?.rows ?? []).map(row => row.map(String));
      } finally {
        await client.end();
      }
    },
    async close() {
      for (const pool of pools) await Promise.race([pool.close(), new Promise(done => setTimeout(done, 5_000))]);
      await resolver.close();
      await view.close();
      await coordinator.close();
      await shard.stop();
    },
  };
  return rig;
}

async function caughtUp(rig: Rig, primary: LocalPeer): Promise<void> {
  const head = parseLsn((await rig.query(primary, 'SELECT pg_current_wal_flush_lsn()'))[0]?.[0] ?? '');
  await eventually(async () => {
    for (const peer of rig.shard.peers.filter(other => other !== primary)) {
      const replayed = (await rig.query(peer, 'SELECT pg_last_wal_replay_lsn()'))[0]?.[0] ?? '';
      if (parseLsn(replayed) < head) throw new Error(`${peer.id} has not caught up`);
    }
  }, CATCH_UP_MS);
}

/** Where a peer's server listens for its sitter: the fourth and fifth line of its pid file. */
function socketOf(peer: LocalPeer): { host: string; port: number } {
  const root = join(peer.dir, 'data', 'pg');
  for (const incarnation of existsSync(root) ? readdirSync(root) : []) {
    const file = join(root, incarnation, 'postmaster.pid');
    if (!existsSync(file)) continue;
    const lines = readFileSync(file, 'utf8').split('\n');
    const [port, host] = [Number(lines[3]), lines[4]];
    if (port > 0 && host) return { host, port };
  }
  throw new Error(`the PostgreSQL of ${peer.id} is not running`);
}
