import type { Endpoint, Settings } from '../server.ts';
import type { Connection, Network } from './network.ts';
import type { Random } from './random.ts';
import { Receiver } from './receiver.ts';
import { type Clock, Life, type Scheduler } from './scheduler.ts';
import { Sender } from './sender.ts';
import { Session } from './session.ts';
import { SyncCommit } from './sync-commit.ts';
import type { Directory, Volume } from './volume.ts';
import { nextTimeline, SEGMENT_BYTES, type WalRecord } from './wal.ts';
import type { Witness } from './witness.ts';

/** What a server stands on. */
export interface Machine {
  readonly id: string;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: Random;
  readonly witness: Witness;
  readonly clock: Clock;
  readonly volume: Volume;
  /** The configuration files and the receiver's password file, as they are now. */
  readonly files: { settings: Settings | undefined; password: 'empty' | 'current' };
  /** Who has an address now. */
  peerAt(address: string): string;
  /** The server that listens at a peer. */
  instanceAt(peer: string): Instance | undefined;
  /** pg_rewind is of a version before 16. */
  readonly fooledRewind: boolean;
  /** How a server behaves that a fault slows down. */
  readonly pace: { replayMs: number; recoveryMs: number };
}

/** What a standby says first on a replication connection. */
export interface StartReplication {
  readonly kind: 'start';
  readonly name: string;
  readonly timeline: number;
  readonly from: number;
}

const RETRY_MS = 200;
const READ_WAL_KINDS: ReadonlySet<string> = new Set(['commit']);
let lastPid = 1_000;

/**
 * A running PostgreSQL: its postmaster, checkpointer and startup process, each with its own reading of the configuration,
 * which each makes in its own time after a reload and each may be frozen before (replication.md §11.4, C5, C16, C17). The
 * walsenders, walreceivers and client sessions it has forked are in files of their own.
 */
export class Instance {
  readonly machine: Machine;
  readonly directory: Directory;
  readonly postmaster: Life;
  readonly startup: Life;
  readonly checkpointer: Life;
  readonly backends: Life;
  readonly senders = new Set<Sender>();
  readonly receivers = new Set<Receiver>();
  readonly sessions = new Set<Session>();
  readonly sync: SyncCommit;
  /** Commits that nobody may see yet. */
  readonly uncommitted = new Set<WalRecord>();
  /** `remains`: the postmaster is gone, and busy backends are not yet (C21). */
  phase: 'starting' | 'up' | 'stopping' | 'remains' | 'ended' = 'starting';
  inRecovery: boolean;
  replayed: number;
  /** What the last receiver flushed; falls back to the start of a segment when one begins anew (appendix B). */
  received: number | undefined;
  /** When the upstream was last heard on the replication stream, world time. */
  streamMovedAt: number | undefined;
  postmasterSettings: Settings;
  startupSettings: Settings;
  checkpointerSettings: Settings;
  /** It was promoted by taking its recovery file away, as before PostgreSQL had real promotion (H8). */
  keepsTimeline = false;
  #receivedTimeline: number | undefined;
  #isReplaying = false;
  #isFlushing = false;
  #flushWaits: { readonly end: number; readonly done: () => void }[] = [];
  #isPromoting = false;
  #isRequesting = false;
  #started: (() => void) | undefined;
  readonly #lives: Life[];
  /** Called when every process has ended. */
  readonly onEnd = new Set<() => void>();

  constructor(machine: Machine, directory: Directory, settings: Settings) {
    this.machine = machine;
    this.directory = directory;
    const life = () => new Life(machine.scheduler, machine.clock);
    this.postmaster = life();
    this.startup = life();
    this.checkpointer = life();
    this.backends = life();
    this.#lives = [this.postmaster, this.startup, this.checkpointer, this.backends];
    this.postmasterSettings = settings;
    this.startupSettings = settings;
    this.checkpointerSettings = settings;
    this.inRecovery = settings.role === 'standby';
    directory.isToFollow = this.inRecovery;
    this.replayed = directory.minRecovery;
    this.sync = new SyncCommit(settings.ssn.length > 0);
    machine.witness.started(machine.id, directory, settings.role);
    machine.witness.named(machine.id, settings.ssn, this.inRecovery);
  }

  get isUp(): boolean {
    return this.phase === 'up';
  }

  /** How far a walsender may send. */
  get sendable(): number {
    if (!this.inRecovery) return this.directory.wal.flushed;
    return Math.max(this.received ?? 0, this.replayed);
  }

  nextPid(): number {
    lastPid += 1;
    return lastPid;
  }

  fork(): Life {
    return new Life(this.machine.scheduler, this.machine.clock);
  }

  /** Crash recovery or recovery; `started` is called once it accepts connections. */
  start(started: () => void): void {
    this.#started = started;
    const { random, pace } = this.machine;
    this.startup.after(random.between(20, 120) + pace.recoveryMs, () => {
      if (this.inRecovery) {
        this.directory.state = 'in recovery';
        this.replay();
      } else this.#endCrashRecovery();
    });
  }

  /** Processes read the files one by one; a frozen one when it goes on. */
  reload(): void {
    const { random, files } = this.machine;
    const reread = (apply: (settings: Settings) => void) => () => {
      if (files.settings !== undefined) apply(files.settings);
    };
    this.postmaster.after(random.between(0, 2), () => {
      reread(settings => {
        const wasOpen = this.postmasterSettings.gate === 'open';
        this.postmasterSettings = settings;
        if (settings.gate === 'open' && !wasOpen) this.machine.witness.opened(this.machine.id);
      })();
      this.checkpointer.after(
        random.between(0, 3),
        reread(settings => this.#defineSync(settings)),
      );
      this.startup.after(
        random.between(0, 5),
        reread(settings => this.#changeUpstream(settings)),
      );
      for (const sender of this.senders) sender.signalReload();
    });
  }

  /** A replication connection has arrived. */
  accept(connection: Connection, hello: StartReplication): void {
    this.postmaster.after(this.machine.random.between(0.2, 2), () => {
      if (this.phase !== 'up' && this.phase !== 'stopping') connection.close(1);
      else this.senders.add(new Sender(this, connection, hello));
    });
  }

  /** A client's login as an application role; undefined where pg_hba.conf, as the postmaster read it last, rejects it. */
  login(answer: (session: Session | undefined) => void): void {
    this.postmaster.after(this.machine.random.between(0.3, 2), () => {
      const isAdmitted = this.isUp && !this.inRecovery && this.postmasterSettings.gate === 'open';
      if (!isAdmitted) return answer(undefined);
      const session = new Session(this);
      this.sessions.add(session);
      answer(session);
    });
  }

  /** Writes a record on a primary. `done` once it is durable. A full volume ends the server, as PostgreSQL's PANIC (C13). */
  insert(kind: WalRecord['kind'], bytes: number, value: number | undefined, done: () => void): WalRecord {
    const record = this.directory.wal.append(kind, bytes, value);
    this.#flushWaits.push({ end: record.end, done });
    this.#flush();
    return record;
  }

  /** Asks for promotion and does not wait. */
  promote(): void {
    this.#isPromoting = true;
    this.startup.after(this.machine.random.between(5, 30), () => {
      for (const receiver of this.receivers) receiver.shutDown();
      this.replay();
    });
  }

  /** The startup process follows a newer timeline that its upstream told of. */
  follows(fork: number): void {
    const { wal } = this.directory;
    this.#receivedTimeline = wal.timeline;
    this.received = Math.floor(fork / SEGMENT_BYTES) * SEGMENT_BYTES;
    this.machine.witness.lost(this.machine.id, `followed to timeline ${wal.timeline}`);
  }

  /** Goes on replaying where there is something complete to replay. */
  replay(): void {
    if (this.#isReplaying || this.phase === 'ended' || this.phase === 'remains') return;
    this.#isReplaying = true;
    const { pace, random } = this.machine;
    this.startup.after(pace.replayMs > 0 ? pace.replayMs : random.between(0.05, 0.8), () => {
      this.#isReplaying = false;
      this.#replayStep();
    });
  }

  terminate(pid: number): void {
    for (const sender of this.senders) if (sender.pid === pid) sender.signalEnd();
    for (const receiver of this.receivers) if (receiver.pid === pid) receiver.signalEnd();
  }

  /** Fast shutdown: clients end, walsenders deliver everything including the shutdown checkpoint (C7). */
  stopFast(stopped: () => void): void {
    this.phase = 'stopping';
    this.postmaster.after(this.machine.random.between(2, 20), () => {
      for (const session of [...this.sessions]) session.end();
      for (const receiver of this.receivers) receiver.signalEnd();
      if (this.inRecovery || this.directory.state !== 'in production') {
        if (this.inRecovery) this.directory.state = 'shut down in recovery';
        this.end();
        stopped();
        return;
      }
      this.insert('shutdown', 120, undefined, () => this.#awaitSenders(stopped));
    });
  }

  /** The postmaster was killed: everybody notices soon, but for backends that are busy (measured: up to 3.6 s, C21). */
  orphan(): void {
    this.phase = 'remains';
    for (const life of this.#lives) if (life !== this.backends) life.end();
    for (const sender of [...this.senders]) sender.gone();
    for (const receiver of [...this.receivers]) receiver.gone();
  }

  /** The end of every process at once: a crash, SIGQUIT, SIGKILL. */
  end(): void {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    for (const life of this.everyLife()) life.end();
    for (const sender of [...this.senders]) sender.gone();
    for (const receiver of [...this.receivers]) receiver.gone();
    for (const session of [...this.sessions]) session.gone();
    const { directory } = this;
    if (directory.state !== 'shut down') directory.wal.loseUnflushed();
    if (this.inRecovery) directory.minRecovery = Math.max(directory.minRecovery, this.replayed);
    for (const ended of [...this.onEnd]) ended();
  }

  /** Of all its processes. */
  *everyLife(): Iterable<Life> {
    yield* this.#lives;
    for (const sender of this.senders) yield sender.life;
    for (const receiver of this.receivers) yield receiver.life;
  }

  #awaitSenders(stopped: () => void): void {
    const { wal } = this.directory;
    const isWaiting = [...this.senders].some(sender => sender.isStreaming && (sender.flushed ?? 0) < wal.flushed);
    if (isWaiting) {
      this.postmaster.after(2, () => this.#awaitSenders(stopped));
      return;
    }
    this.directory.state = 'shut down';
    this.directory.minRecovery = wal.insertAt;
    this.directory.checkpointTimeline = wal.timeline;
    this.end();
    stopped();
  }

  #endCrashRecovery(): void {
    const { directory } = this;
    directory.wal.dropPartialTail();
    directory.state = 'in production';
    this.replayed = directory.wal.insertAt;
    this.insert('checkpoint', 120, undefined, () => {
      directory.checkpointTimeline = directory.wal.timeline;
      this.#isReady();
    });
  }

  #isReady(): void {
    if (this.phase === 'starting') this.phase = 'up';
    this.#started?.();
    this.#started = undefined;
  }

  #defineSync(settings: Settings): void {
    this.checkpointerSettings = settings;
    this.machine.witness.named(this.machine.id, settings.ssn, this.inRecovery);
    this.sync.define(settings.ssn.length > 0);
  }

  #changeUpstream(settings: Settings): void {
    const changed = JSON.stringify(this.startupSettings.upstream) !== JSON.stringify(settings.upstream);
    this.startupSettings = settings;
    if (!changed || !this.inRecovery) return;
    for (const receiver of this.receivers) receiver.shutDown();
    this.replay();
  }

  #replayStep(): void {
    const { wal } = this.directory;
    if (!this.inRecovery || this.phase === 'ended') return;
    if (this.machine.pace.replayMs > 0) {
      this.replayed = wal.recordAt(this.replayed)?.end ?? this.replayed;
    } else this.replayed = Math.max(this.replayed, wal.completeEnd);
    for (const sender of this.senders) sender.wake();
    if (this.phase === 'starting' && this.replayed >= this.directory.minRecovery) this.#isReady();
    if (wal.recordAt(this.replayed) !== undefined) this.replay();
    else if (this.#isPromoting && this.receivers.size === 0) this.#endRecovery();
    else if (this.#isPromoting) this.startup.after(2, () => this.replay());
    else this.#requestReceiver();
  }

  /** The end of recovery on a timeline of its own: the first number no history file is known for (C9). */
  #endRecovery(): void {
    const { directory, machine } = this;
    const { wal } = directory;
    wal.cutAt(this.replayed);
    wal.dropPartialTail();
    if (!this.keepsTimeline) {
      const timeline = nextTimeline(wal);
      const ancestry = [...wal.ancestry, { timeline: wal.timeline, end: wal.insertAt }];
      wal.followTo(timeline, ancestry);
      wal.histories.set(timeline, { timeline, ancestry, isPlaceholder: false });
    }
    this.#isPromoting = false;
    this.inRecovery = false;
    this.directory.isToFollow = false;
    directory.state = 'in production';
    if (!this.keepsTimeline) machine.witness.promoted(machine.id, directory);
    machine.witness.named(machine.id, this.checkpointerSettings.ssn, false);
    this.insert('end-of-recovery', 120, undefined, () => {});
  }

  /** The startup process asks the postmaster for a receiver with the string it holds, when there is none. */
  #requestReceiver(): void {
    if (this.#isRequesting || this.phase === 'ended' || this.phase === 'stopping') return;
    this.#isRequesting = true;
    this.startup.after(this.machine.random.between(1, 4), () => this.#request());
  }

  #request(): void {
    const { upstream } = this.startupSettings;
    const { wal } = this.directory;
    const again = () => this.startup.after(RETRY_MS, () => this.#request());
    if (!this.inRecovery || this.#isPromoting || this.phase === 'ended') {
      this.#isRequesting = false;
      return;
    }
    const isServed = [...this.receivers].some(receiver => !receiver.isDismissed);
    if (upstream !== undefined && !isServed && wal.recordAt(this.replayed) === undefined) {
      this.#forkReceiver(upstream);
    }
    again();
  }

  #forkReceiver(upstream: Endpoint): void {
    const { wal } = this.directory;
    const from = Math.floor(this.replayed / SEGMENT_BYTES) * SEGMENT_BYTES;
    if (this.received === undefined || this.#receivedTimeline !== wal.timeline) this.received = from;
    this.#receivedTimeline = wal.timeline;
    const receiver = new Receiver(this, upstream, from);
    this.receivers.add(receiver);
    this.postmaster.after(this.machine.random.between(0.2, 2), () => receiver.forked());
  }

  #flush(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    const { random } = this.machine;
    this.backends.after(random.between(0.1, 1), () => {
      this.#isFlushing = false;
      const { wal } = this.directory;
      if (this.machine.volume.isFull) {
        this.machine.witness.note(this.machine.id, 'PANIC: no space left for WAL');
        this.crashed();
        return;
      }
      const last = wal.records.at(-1);
      const isHalf = last !== undefined && last.end - last.start > 8_192 && wal.flushed < last.start + 4_096;
      const before = wal.flushed;
      wal.flushed = isHalf ? last.start + 4_096 : wal.insertAt;
      this.#reportWritten(before);
      for (const sender of this.senders) sender.wake();
      const done = this.#flushWaits.filter(wait => wait.end <= wal.flushed);
      this.#flushWaits = this.#flushWaits.filter(wait => wait.end > wal.flushed);
      for (const wait of done) wait.done();
      if (this.#flushWaits.length > 0) this.#flush();
    });
  }

  /** Set by whoever watches over the server: called when it ends unasked. */
  crashed: () => void = () => this.end();

  #reportWritten(before: number): void {
    const { wal } = this.directory;
    for (let place = wal.indexAfter(before); place < wal.records.length; place += 1) {
      const record = wal.records[place];
      if (record === undefined || record.end > wal.flushed) break;
      this.machine.witness.written(this.machine.id, record);
    }
  }

  /** What a client sees: every commit in the WAL that is not waiting. */
  isHidden(record: WalRecord): boolean {
    return !READ_WAL_KINDS.has(record.kind) || this.uncommitted.has(record);
  }
}
