import type {
  Answer,
  Bootstrap,
  HighWater,
  PeerHealth,
  PeerRecord,
  PeerStatus,
  Requests,
  ShardConfig,
} from '../../lib/shard/records.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import type { ServerView } from './server.ts';
import type { Times } from './times.ts';
import type { PrimaryVerdict, SyncVerdict } from './verdict.ts';

/**
 * Everything a decision may depend on, at one moment (replication.md §4.2). Times are monotonic milliseconds of this
 * machine. A value of an earlier moment is allowed: every action proves again what safety needs.
 */
export interface Snapshot {
  readonly now: number;
  readonly me: Me;
  readonly etcd: EtcdView;
  readonly local: LocalRecord;
  readonly server: ServerView;
  readonly evidence: Evidence;
  /** The long-running job of this peer, if there is one. */
  readonly job: JobView | undefined;
  /** The last checkpoint this process asked for that has ended. */
  readonly lastCheckpoint: { readonly at: number; readonly tookMs: number } | undefined;
  /** Jobs and actions that failed, by kind, until one of the kind succeeds. */
  readonly failures: Readonly<Record<string, Failure>>;
  /** Since when SIGTERM has been asking this process to end. */
  readonly terminatingSince: number | undefined;
  readonly times: Times;
}

/** What a peer is told by its configuration and its pod. */
export interface Me {
  readonly id: string;
  readonly session: string;
  readonly pgUrl: string;
  readonly sitterUrl: string;
  readonly zone?: string;
  readonly node?: string;
  /** Of the binaries. */
  readonly pgMajor: number;
}

/** A value in etcd with the revision it was written at. */
export interface Versioned<Value> {
  readonly value: Value;
  readonly modRevision: number;
}

/** The shard's prefix as last read. */
export interface EtcdView {
  /** When the last successful read was sent; undefined before the first. */
  readonly readAt: number | undefined;
  readonly state: Versioned<ClusterState> | undefined;
  /** Why the value of `state` is not one. */
  readonly stateInvalid: string | undefined;
  readonly config: Versioned<ShardConfig> | undefined;
  readonly bootstrap: Versioned<Bootstrap> | undefined;
  readonly requests: Requests;
  readonly answer: Answer | undefined;
  readonly peers: Readonly<Record<string, PeerView>>;
  /** Since when the peers that the state names have had no key, in every read. */
  readonly absentSince: Readonly<Record<string, number>>;
  /** Creation revision of my own key while my registration is valid by my own clock. */
  readonly registered: number | undefined;
  /** A transaction of mine ended `unknown`: nothing may be concluded before it is settled (§6.2). */
  readonly unsettled: boolean;
}

export interface PeerView extends Versioned<PeerRecord> {
  readonly createRevision: number;
}

/** The file beside the data directories (§5.3), durable before what it describes. */
export interface LocalRecord {
  readonly shard: number;
  readonly id: string;
  readonly incarnation: string | null;
  readonly systemId: string | null;
  readonly highWater: HighWater;
  readonly promotedTimelines: readonly { readonly generation: number; readonly timeline: number }[];
}

export interface Evidence {
  /** A standby's verdict on the primary, and since when it has been this one; undefined where this peer makes none. */
  readonly primary: (PrimaryVerdict & { readonly since: number }) | undefined;
  /** The primary's verdict on its sync. */
  readonly sync: (SyncVerdict & { readonly since: number }) | undefined;
  /** The last answer to a heartbeat, by peer. */
  readonly answers: Readonly<Record<string, HeartbeatAnswer>>;
  /** The last heartbeat of the primary. */
  readonly heartbeat: Heartbeat | undefined;
  /** When something last proved that this primary was not superseded (§9.2). */
  readonly freshAt: number | undefined;
  /** What my own record says now. */
  readonly status: PeerStatus;
  readonly statusGeneration: number;
  readonly rewindable: boolean;
  /** Since when my status has been what it is; the start of the process at first. */
  readonly statusSince: number;
  /** When this process last took back the offer of its role, because nobody had accepted it. */
  readonly withdrewAt: number | undefined;
  /** Since when the request for a switchover is seen that is there now. */
  readonly requestedAt: number | undefined;
}

/** A line from the primary to S and A0 (§4.4). `at`: when it was received. */
export interface Heartbeat {
  readonly at: number;
  readonly shard: number;
  readonly id: string;
  readonly incarnation: string | null;
  readonly session: string;
  readonly generation: number;
  readonly n: number;
  readonly status: PeerStatus;
  readonly terminating: boolean;
  readonly flush: string | null;
  readonly etcdAgeMs: number | null;
}

/** A standby's answer to a heartbeat. `at`: when it was received. */
export interface HeartbeatAnswer {
  readonly at: number;
  readonly shard: number;
  readonly id: string;
  readonly incarnation: string | null;
  readonly session: string;
  readonly generation: number;
  readonly n: number;
  readonly received: string | null;
  readonly replayed: string | null;
  readonly health: PeerHealth;
  readonly terminating: boolean;
  /** Whether it is in recovery and its own downstream streams from it: able to take over. */
  readonly ready: boolean;
}

export type JobKind = 'start' | 'stop' | 'initialise' | 'base-backup' | 'rewind' | 'restore' | 'checkpoint';

export interface JobView {
  readonly kind: JobKind;
  readonly since: number;
}

export interface Failure {
  /** In a row. One that was `isUnreachable` does not count: nothing was begun, since the source did not answer. */
  readonly count: number;
  readonly lastAt: number;
  readonly message: string;
  readonly isUnreachable?: true;
}
