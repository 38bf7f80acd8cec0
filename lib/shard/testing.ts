import { pino } from 'pino';
import type { PrefixRead } from '../coordinator/coordinator.ts';
import { followPrefix, type PrefixView } from '../coordinator/follow-prefix.ts';
import { createMemoryCoordinator } from '../coordinator/memory.ts';
import { createStore } from '../coordinator/store.ts';
import type { ConnectionTarget } from '../database/moving-target.ts';
import { queryOnce, testServer } from '../database/testing.ts';
import { createTestProxy, type TestProxy } from '../database/testing-proxy.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { shardKeys } from './keys.ts';
import type { PeerRecord, PeerStatus } from './records.ts';
import type { ClusterState, PeerRef } from './state.ts';
import type { StateSource } from './state-view.ts';

/** The keys that a test's shard has. */
export const testKeys = shardKeys('/manta', 1);

/** A peer by its number; its PostgreSQL at `pgUrl`. */
export function aPeer(n: number, fields: Partial<PeerRef> = {}): PeerRef {
  return {
    id: `pg-1-${n}`,
    incarnation: `incarnation-${n}`,
    pgUrl: `postgresql://127.0.0.1:${5400 + n}`,
    sitterUrl: `http://127.0.0.1:${5500 + n}`,
    ...fields,
  };
}

/** A valid state of three peers: the first is primary. */
export function aState(fields: Partial<ClusterState> = {}): ClusterState {
  const generation = fields.generation ?? 1;
  return {
    v: 2,
    seq: generation,
    generation,
    primary: aPeer(0),
    sync: aPeer(1),
    async: [aPeer(2)],
    deposed: [],
    initWal: '0/0',
    initTimeline: 1,
    timeline: 1,
    systemId: null,
    pgMajor: 18,
    cause: 'setup',
    writer: 'pg-1-0',
    ...fields,
  };
}

/** The record of a peer. */
export function aRecord(peer: PeerRef, status: PeerStatus, statusGeneration: number): PeerRecord {
  return {
    ...peer,
    session: 'session',
    pgMajor: 18,
    status,
    statusGeneration,
    systemId: null,
    timeline: 1,
    walEnd: null,
    rewindable: true,
    health: 'ok',
    local: { maxGeneration: statusGeneration, maxSeq: statusGeneration, lastRole: 'primary', lastTimeline: 1 },
  };
}

/** A view of etcd that a test writes; reads of it succeed when the test says so. */
export interface TestSource extends StateSource {
  put(key: string, value: unknown): void;
  delete(key: string): void;
  /** A read that was sent at this monotonic time succeeded and found what is there. */
  confirm(at: number): void;
}

/** `now`: when the read is sent by which a change is seen. */
export function createTestSource(now: () => number): TestSource {
  const values = new Map<string, string>();
  const listeners = new Set<() => void>();
  let read: PrefixRead | undefined;
  let revision = 0;

  function changed(): void {
    revision += 1;
    const entries = [...values]
      .sort()
      .map(([key, value]) => ({ key, value, createRevision: 1, modRevision: revision }));
    read = { revision, entries, sentAt: now() };
    for (const listener of listeners) listener();
  }

  return {
    current: () => read,
    onChange(listener) {
      listeners.add(listener);
      return { close: () => listeners.delete(listener) };
    },
    put(key, value) {
      values.set(key, typeof value === 'string' ? value : JSON.stringify(value));
      changed();
    },
    delete(key) {
      values.delete(key);
      changed();
    },
    confirm(at) {
      if (read !== undefined) read = { ...read, sentAt: at };
    },
  };
}

/** Two ways to one real server, which stand for two peers that are its primary one after the other. */
export interface TestShard {
  readonly source: PrefixView;
  readonly wires: readonly [TestProxy, TestProxy];
  /** The peer at the end of a wire. */
  peer(n: 0 | 1): PeerRef;
  /** Writes the next generation, with this peer as primary. */
  promote(n: 0 | 1, fields?: Partial<ClusterState>): Promise<void>;
  /** Writes the record of the primary. */
  setStatus(status: PeerStatus): Promise<void>;
  close(): Promise<void>;
}

/** Starts with the first peer as primary in generation 1. */
export async function createTestShard(): Promise<TestShard> {
  const server: ConnectionTarget = () => testServer();
  const wires = [await createTestProxy(server), await createTestProxy(server)] as const;
  const rows = await queryOnce<{ id: string }>(
    () => ({ ...testServer(), database: 'postgres' }),
    'SELECT system_identifier::text AS id FROM pg_control_system()',
  );
  const store = createStore();
  const coordinator = createMemoryCoordinator({ store, clock: systemClock });
  const logger = pino({ level: 'silent' });
  const source = followPrefix({ logger, clock: systemClock }, coordinator, testKeys.prefix);
  const put = async (key: string, value: unknown) => {
    await coordinator.commit({ compare: [], operations: [{ put: key, value: JSON.stringify(value) }] });
    await source.refresh();
  };
  let state: ClusterState | undefined;
  const peer = (n: 0 | 1) => aPeer(n, { pgUrl: `postgresql://127.0.0.1:${wires[n].target().port}` });
  const promote = async (n: 0 | 1, fields: Partial<ClusterState> = {}) => {
    const before = state;
    state = aState({
      generation: (before?.generation ?? 0) + 1,
      timeline: (before?.timeline ?? 0) + 1,
      primary: peer(n),
      sync: peer(n === 0 ? 1 : 0),
      systemId: rows[0]?.id ?? null,
      ...fields,
    });
    await put(testKeys.state, state);
  };
  await promote(0);
  return {
    source,
    wires,
    peer,
    promote,
    async setStatus(status) {
      if (state === undefined) return;
      await put(testKeys.peer(state.primary.id), aRecord(state.primary, status, state.generation));
    },
    close: async () => {
      await source.close();
      await coordinator.close();
      for (const wire of wires) await wire.close();
    },
  };
}
