import { join } from 'node:path';
import type pg from 'pg';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createTable, poolClient } from '../../faults/shard/load-client.ts';
import { type LocalPeer, type LocalShard, startLocalShard } from '../../images/postgres/local/local-shard.ts';
import { ROOT_KEY } from '../../images/postgres/local/open-shard.ts';
import { defaultTimes } from '../../images/postgres/times.ts';
import { createPool, type Pool, poolDefaults } from '../../lib/database/pool.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createResolvers, type Resolvers } from '../../lib/shard/resolvers.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import { peerTable } from './peer-table.ts';
import { type Fault, interruptEtcd, type System } from './system.ts';

const DATABASE = 'index';
const LOAD_ROLE = 'manta_webapi';
/** For a writer that finds no primary: as long as Patroni's writers wait. */
const WAIT_MS = 5_000;

interface Running {
  readonly shard: LocalShard;
  readonly resolvers: Resolvers;
  readonly pool: Pool;
}

/** A shard of three peers over three etcd members, and programs that find its primary through the resolver. */
export function createManta(
  deps: { readonly logger: Logger },
  options: { readonly dir: string; readonly onProgress: (text: string) => void },
): System {
  const parts = { ...deps, clock: systemClock };
  let running: Running | undefined;

  async function start(): Promise<void> {
    const { dir, onProgress } = options;
    const shard = await startLocalShard(parts, {
      dir: join(dir, 'shard'),
      peers: 3,
      etcdMembers: 3,
      hosts: 'loopback',
      databases: [DATABASE],
      onProgress,
      // What Patroni's servers are given.
      parameters: { shared_buffers: '128MB', max_connections: '100' },
    });
    const resolvers = createResolvers(
      { ...parts, coordinator: shard.coordinator, fetch, registry: new Registry() },
      { root: ROOT_KEY, program: 'bench' },
    );
    const login = () => ({ user: LOAD_ROLE, password: shard.passwords[LOAD_ROLE], database: DATABASE });
    const target = resolvers.of(shard.number).target(login);
    // A connection for each writer and the reader.
    const pool = createPool(parts, target, { ...poolDefaults, name: DATABASE, size: 9, maxWaitMs: WAIT_MS });
    running = { shard, resolvers, pool };
  }

  function started(): Running {
    if (running === undefined) throw new Error('the shard was not started');
    return running;
  }

  async function state(): Promise<ClusterState> {
    const { state: found } = await started().shard.client.read();
    if (found === undefined) throw new Error('the shard has no state');
    return found.value;
  }

  async function switchover(): Promise<void> {
    const answer = await started().shard.client.request('switchover');
    if (answer.outcome !== 'Done') throw new Error(`the switchover was refused: ${JSON.stringify(answer)}`);
  }

  return {
    name: 'manta',
    facts: { ...defaultTimes, candidateLagBytes: Number(defaultTimes.candidateLagBytes) },
    loopMs: defaultTimes.loopMs,
    start,
    async waitHealthy(withinMs) {
      await started().shard.waitUntilHealthy(withinMs);
    },
    async prepare(fault: Fault) {
      const { primary, sync } = await state();
      const peer = started().shard.peer(fault === 'kill-sync' && sync != null ? sync.id : primary.id);
      if (fault === 'switchover') return switchover;
      if (fault === 'etcd-outage') return () => interruptEtcd(started().shard.etcd);
      if (fault !== 'kill-postmaster') return () => peer.killTree({ stayDown: true });
      return async () => {
        if (!peer.killPostmaster()) throw new Error(`${peer.id} has no PostgreSQL`);
      };
    },
    primary: async () => (await state()).primary.id,
    async repair() {
      for (const peer of started().shard.peers) if (!peer.isRunning) peer.start();
    },
    async createTable(table) {
      const { shard } = started();
      const primary = shard.peer((await state()).primary.id);
      // Tables belong to the owner of the database, as those of our programs do.
      const text = ['SET ROLE manta_owner', ...createTable(table, LOAD_ROLE)].join('; ');
      await peerTable(primary.id, socketOf(primary)).query(text);
    },
    client: table => poolClient(started().pool, table),
    async peers() {
      const first = (await state()).primary.id;
      const ordered = [...started().shard.peers].sort((a, b) => Number(b.id === first) - Number(a.id === first));
      return ordered.map(peer => peerTable(peer.id, socketOf(peer)));
    },
    history: async () => (await started().shard.client.history()).map(entry => entry.state),
    async stop() {
      if (running === undefined) return;
      await running.pool.close();
      await running.resolvers.close();
      await running.shard.stop();
    },
  };
}

/** Standbys admit nobody over TCP; the sitter's own user reads everything over the socket (replication.md §11.5). */
function socketOf(peer: LocalPeer): pg.ClientConfig {
  return { host: join(peer.dir, 'run', 'socket'), port: peer.pg.port, user: 'postgres', database: DATABASE };
}
