import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerTable } from '../../faults/shard/checker.ts';
import type { LoadClient } from '../../faults/shard/load-client.ts';
import type { EtcdCluster } from '../../lib/etcd-process/etcd-cluster.ts';
import type { ClusterState } from '../../lib/shard/state.ts';

/**
 * What is done to a system while clients write (replication.md §17.1). `kill-postmaster`: SIGKILL of the primary's PostgreSQL;
 * its supervisor lives. `kill-node`: SIGKILL of everything on the primary's node at once, and it stays away while measured.
 * `switchover`: the primary's role is handed to the synchronous standby on request. `kill-sync`: as `kill-node`, at the
 * synchronous standby. `etcd-outage`: SIGKILL of all members of etcd, which come back half a minute later.
 */
export const FAULTS = ['kill-postmaster', 'kill-node', 'switchover', 'kill-sync', 'etcd-outage'] as const;
export type Fault = (typeof FAULTS)[number];

const OUTAGE_MS = 30_000;

/** The fault `etcd-outage`. Resolves when all members serve again. */
export async function interruptEtcd({ members }: EtcdCluster): Promise<void> {
  await Promise.all(members.map(member => member.kill()));
  await sleep(OUTAGE_MS);
  await Promise.all(members.map(member => member.start()));
}

/** One of the systems compared: three PostgreSQL servers on this machine and what keeps one of them the primary. */
export interface System {
  /** For the table. */
  readonly name: string;
  /** Versions and the settings that decide times, for the record. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
  /** How long one round of its control loop takes; a fault falls anywhere in it. */
  readonly loopMs: number;
  start(): Promise<void>;
  /** Resolves when all three replicate and the synchronous standby is entitled to take over; rejects after `withinMs`. */
  waitHealthy(withinMs: number): Promise<void>;
  /**
   * Chooses the victim now; what is returned then strikes at once, and resolves when the request was granted, the victim is
   * dead, or the outage is over; rejects when the system refuses.
   */
  prepare(fault: Fault): Promise<() => Promise<void>>;
  /** Who is the primary, by the system's own word. */
  primary(): Promise<string>;
  /** Brings back the nodes that were killed. */
  repair(): Promise<void>;
  /** Makes an empty table for the load. */
  createTable(table: string): Promise<void>;
  /** One writer's or reader's way to whatever serves writes now, as an application of this system would reach it. */
  client(table: string): LoadClient;
  /** Every server's copy, the primary's first. */
  peers(): Promise<readonly PeerTable[]>;
  /** The states the shard went through, where the system keeps them. */
  history?(): Promise<readonly ClusterState[]>;
  /** Ends every process. Idempotent. */
  stop(): Promise<void>;
}
