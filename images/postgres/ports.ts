import type { Logger } from 'pino';
import type { CommitOutcome, Comparison, Operation } from '../../lib/coordinator/coordinator.ts';
import type { ShardKeys } from '../../lib/shard/keys.ts';
import type { PeerStatus } from '../../lib/shard/records.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import type { Server } from './server.ts';
import type { EtcdView, JobKind, LocalRecord } from './snapshot.ts';

/** What actions act on. The simulator brings its own of everything but the actions. */
export interface Ports {
  readonly logger: Logger;
  readonly pace: Pace;
  readonly server: Server;
  readonly store: ShardStore;
  readonly record: OwnRecord;
  readonly local: LocalRecordFile;
  readonly jobs: Jobs;
  /** Random names: incarnations, sessions. */
  readonly randomName: () => string;
}

/** Time inside actions. */
export interface Pace {
  /** Monotonic milliseconds. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

/** The shard's prefix in etcd. */
export interface ShardStore {
  readonly keys: ShardKeys;
  view(): EtcdView;
  /** A linearizable read that was sent after the call. Throws MantaError `CoordinatorUnavailable`. */
  refresh(): Promise<EtcdView>;
  /**
   * Writes a state and its history entry in one transaction (§6.2), comparing the state the view was made from, this peer's
   * own registration and, when the generation changes, `config`; plus what is given. Refuses a step that §5.1 forbids with
   * MantaError `StateInvalid`. An `unknown` outcome marks the view unsettled.
   */
  writeState(
    next: ClusterState,
    extra?: { readonly compare?: readonly Comparison[]; readonly operations?: readonly Operation[] },
  ): Promise<CommitOutcome>;
  /** Any other transaction, with the comparison of this peer's own registration. */
  commit(compare: readonly Comparison[], operations: readonly Operation[]): Promise<CommitOutcome>;
  /** Gives this peer's key a new creation revision, so that whatever was sent under the old one fails, and reads. */
  settle(): Promise<void>;
}

/** This peer's own record, `peers/<id>`. */
export interface OwnRecord {
  readonly status: PeerStatus;
  readonly statusGeneration: number;
  readonly statusSince: number;
  /** When it last went from `abdicating` or `handed-off` back to `active`. */
  readonly withdrewAt: number | undefined;
  readonly rewindable: boolean;
  /**
   * `rewindable` := false, before a promotion. Nobody rewinds from a server that is not on the timeline of the state, and the
   * first record that shows it there says this too: it need not be written before.
   */
  forbidRewind(): void;
  /**
   * Changes it and resolves once etcd has it. While it says `abdicating` or `handed-off`, only a new status is written
   * (§5.2). Throws MantaError `CoordinatorUnavailable`; the wish stays and is written by the next registration.
   */
  set(change: {
    readonly status?: PeerStatus;
    readonly statusGeneration?: number;
    readonly handedOffAt?: string;
    readonly rewindable?: true;
  }): Promise<void>;
}

/** The local record (§5.3). */
export interface LocalRecordFile {
  current(): LocalRecord;
  /** Resolves once the change is durable. High-water marks never fall. */
  save(change: Partial<LocalRecord>): Promise<void>;
}

/** The one long-running job. */
export interface Jobs {
  /** Starts it in the background. Throws when there is one already. A failure is counted under its kind. */
  start(kind: JobKind, run: (signal: AbortSignal, onProgress: (part: number) => void) => Promise<void>): void;
  abort(): void;
}
