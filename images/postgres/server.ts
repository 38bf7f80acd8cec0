import type { Lsn } from '../../lib/shard/lsn.ts';

/**
 * PostgreSQL as the sitter sees it: the primitives of replication.md §11 that the protocols are made of, each doing one
 * thing. `pg/` implements it with real processes and files, `sim/` with a model; the order in which protocols call it is
 * what makes them safe, so nothing here does two steps.
 *
 * All methods reject with MantaError `PostgresOffline` when the server is not there to answer, and honour `signal`.
 */
export interface Server {
  /** What can be seen now, from memory and one query at most. Never rejects. */
  observe(): Promise<ServerView>;

  /** Replaces postgresql.conf, pg_hba.conf and the signal file as one wish, durably; a running server has not read them yet. */
  writeSettings(settings: Settings): Promise<void>;
  /** Tells the running server to read its settings. Processes follow one by one, in their own time. */
  reload(): Promise<void>;
  /** What a connection made now finds in force. */
  inForce(): Promise<InForce>;
  /** The rows of pg_stat_replication, now. */
  senders(): Promise<readonly Sender[]>;
  /** Asks one server process to end (SIGTERM). One that has gone already is fine. */
  terminate(pid: number): Promise<void>;
  /** Asks every client's backend to end. Returns how many there were. */
  terminateClients(): Promise<number>;
  /** Clients' transactions that are open now. */
  openTransactions(): Promise<number>;

  /** Replaces the file the receiver reads its password from: by nothing, or by the current password. */
  writeReceiverPassword(content: 'empty' | 'current'): Promise<void>;
  /** The processes that pg_stat_activity lists as walreceiver, in a transaction of its own. */
  receivers(): Promise<readonly { readonly pid: number; readonly startedAt: string }[]>;

  /** Lets replay go on where somebody has paused it. */
  resumeReplay(): Promise<void>;

  /** Read now, in one query. */
  positions(): Promise<Positions>;
  /** Whether a complete WAL record begins at the position, by reading the WAL itself (pg_waldump). */
  hasRecordAt(timeline: number, position: Lsn): Promise<boolean>;

  /** Puts a history file for every number between the server's own timeline and `reserved`, so that it takes that one. */
  placePlaceholders(reserved: number): Promise<void>;
  /** pg_promote(false): asks and does not wait. */
  promote(): Promise<void>;
  checkpoint(): Promise<void>;

  /** Creates what is missing of the databases and roles (§7.8 step 5). Returns whether anything was. */
  createDatabases(databases: readonly string[]): Promise<boolean>;
  /** The roles of §11.5 with their passwords; idempotent. */
  createRoles(): Promise<void>;
  /** One login over TCP as an application role, as a client would. */
  tryLogin(): Promise<void>;
  /** Makes the physical slots of the direct downstreams be exactly these. */
  keepSlots(downstreams: readonly string[]): Promise<void>;

  /** Starts the server on the settings written and resolves once it accepts connections or, in recovery, is consistent. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves only with the proof that no process of the server is left (§11.10). Escalates from the mode given. */
  stop(mode: StopMode, signal: AbortSignal): Promise<void>;

  /** initdb into a new incarnation. Resolves with its name once it is complete and durable. */
  initialise(signal: AbortSignal): Promise<string>;
  /** A verified base backup into a new incarnation, which becomes the current one. Resolves with its name. */
  baseBackup(from: Endpoint, signal: AbortSignal, onProgress: (part: number) => void): Promise<string>;
  /** pg_rewind of the current directory. */
  rewind(from: Endpoint, signal: AbortSignal): Promise<void>;
  /** Restores the newest base backup before the time, and the archive up to it, into a new incarnation. */
  restore(from: string, until: string | undefined, signal: AbortSignal): Promise<string>;
  /** Removes every incarnation but the current one. */
  removeOldIncarnations(): Promise<void>;
}

/** fast: clients are ended, WAL goes out to the standbys, a checkpoint. immediate: none of it. kill: SIGKILL of all. */
export type StopMode = 'fast' | 'immediate' | 'kill';

/** Where another peer's PostgreSQL listens. */
export interface Endpoint {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

/** Everything the sitter decides about PostgreSQL's configuration (§11.3, §11.5); the templates hold the rest. */
export interface Settings {
  readonly role: 'primary' | 'standby';
  /** synchronous_standby_names: all of these must confirm. Empty only in a one-node state. */
  readonly ssn: readonly string[];
  readonly readOnly: boolean;
  /** Whether pg_hba.conf admits clients. Never on a standby. */
  readonly gate: 'open' | 'closed';
  /** Whom a standby receives from; undefined: nobody, no connection string. */
  readonly upstream: Endpoint | undefined;
  /** Whether this peer serves dumps: pg_hba.conf admits manta_dump. */
  readonly dumps: boolean;
  readonly databases: readonly string[];
  /** Further parameters of the Shard resource. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface InForce {
  readonly ssn: readonly string[];
  readonly readOnly: boolean;
  /** Rows of pg_file_settings and pg_hba_file_rules with an error. */
  readonly errors: number;
}

/** One row of pg_stat_replication. */
export interface Sender {
  readonly pid: number;
  /** application_name: a peer's id. */
  readonly name: string;
  readonly state: string;
  /** sync_priority, by this sender's own reading of the configuration; 0: not in force or not named. */
  readonly priority: number;
  readonly sent: Lsn | undefined;
  readonly flushed: Lsn | undefined;
  readonly replayed: Lsn | undefined;
  /** reply_time, only to be compared with itself: it is the standby's clock. */
  readonly replyTime: string | undefined;
}

export interface Positions {
  readonly inRecovery: boolean;
  /** Of the WAL being written, or, in recovery, received or replayed last. */
  readonly timeline: number;
  /** On a primary: flushed locally. */
  readonly flushed: Lsn | undefined;
  /** On a standby: what the last receiver flushed; undefined after a restart until one has streamed. */
  readonly received: Lsn | undefined;
  readonly replayed: Lsn | undefined;
}

/** The data directory that is current by the local record. */
export type DirectoryView =
  | { readonly kind: 'none' }
  /** A base backup or an initdb that did not end. */
  | { readonly kind: 'unfinished' }
  | {
      readonly kind: 'usable';
      readonly incarnation: string;
      readonly systemId: string;
      readonly pgMajor: number;
      /** From the control file; of a running server see `answered`. */
      readonly timeline: number;
      /** "shut down" or "shut down in recovery". */
      readonly isClean: boolean;
      /** After a clean stop: the end of the shutdown checkpoint, or where recovery had come to. */
      readonly end: Lsn | undefined;
      /** Whether it goes on as a standby: it ran as one last, or a rewind has made sure that it can follow. */
      readonly wasStandby: boolean;
    };

export type ProcessView =
  | { readonly kind: 'none' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'up' }
  | { readonly kind: 'stopping' }
  /** The server ended unasked and not all of its processes have: they may still serve reads. */
  | { readonly kind: 'remains' };

/** What the sitter knows of its own PostgreSQL at one moment. Times are monotonic milliseconds. */
export interface ServerView {
  readonly process: ProcessView;
  readonly directory: DirectoryView;
  /** Incarnations on the volume that are not the current one. */
  readonly oldIncarnations: readonly string[];
  /** As last written; undefined until this process wrote them. */
  readonly written: Settings | undefined;
  readonly receiverPassword: 'empty' | 'current';
  /** The last answer of a server that is up. */
  readonly answered: Answered | undefined;
  /** Since when health checks have failed while the process is there. */
  readonly unansweredSince: number | undefined;
  /** When the server last ended without being asked to. */
  readonly crashedAt: number | undefined;
  /** When this process started the server, the last ten minutes. */
  readonly starts: readonly number[];
  /** The worse of both volumes: what is free, as a part of the whole and in bytes. */
  readonly free: { readonly ratio: number; readonly bytes: number };
  /** A safety setting whose value in force is not the one written (ConfigDrift). */
  readonly drift: string | undefined;
}

export interface Answered extends Positions {
  readonly at: number;
  /** Where each ancestor of `timeline` ended, oldest first, by its history file. */
  readonly ancestry: readonly { readonly timeline: number; readonly end: Lsn }[];
  readonly ssn: readonly string[];
  readonly readOnly: boolean;
  readonly senders: readonly SenderView[];
  /** Since when some commit has been waiting for a standby without a break. */
  readonly commitWaitingSince: number | undefined;
  /** When the replication stream last showed life: a message of the upstream. Standbys only. */
  readonly streamMovedAt: number | undefined;
  readonly isStreaming: boolean;
  /** When the replayed position last moved or equalled the received one. */
  readonly replayMovedAt: number | undefined;
  /** When it was last seen to follow its upstream (following.ts). Standbys only. */
  readonly followedAt: number | undefined;
}

export interface SenderView extends Sender {
  /** When a reply of the standby was last seen: the row had changed since the look before. */
  readonly repliedAt: number;
  /** When its flushed position last moved or equalled the primary's. */
  readonly flushMovedAt: number;
}
