import type { Endpoint } from '../server.ts';
import type { Instance, StartReplication } from './instance.ts';
import type { Connection } from './network.ts';
import type { Life } from './scheduler.ts';
import type { SenderMessage } from './sender.ts';
import type { WalRecord } from './wal.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const TIMEOUT_MS = 10_000;
const STATUS_MS = 1_000;

/**
 * A walreceiver. It is forked before it is listed in pg_stat_activity, listed before it reads its password, and reads that
 * once, before it connects (replication.md §7.5, C17): the three facts that the cut of a receiver rests on.
 */
export class Receiver {
  readonly life: Life;
  readonly pid: number;
  readonly startedAt: string;
  phase: 'requested' | 'forked' | 'listed' | 'connecting' | 'streaming' | 'ended' = 'requested';
  /** The startup process counts it as stopped, though the process may not know yet. */
  isDismissed = false;
  readonly #instance: Instance;
  readonly #upstream: Endpoint;
  readonly #from: number;
  readonly #replayedAtStart: number;
  #connection: Connection | undefined;
  #inbox: { readonly records: readonly WalRecord[]; readonly to: number }[] = [];
  #isWriting = false;
  #heardAt = 0;

  constructor(instance: Instance, upstream: Endpoint, from: number) {
    this.#instance = instance;
    this.#upstream = upstream;
    this.#from = from;
    this.#replayedAtStart = instance.replayed;
    this.life = instance.fork();
    this.pid = instance.nextPid();
    this.startedAt = String(instance.machine.scheduler.now);
  }

  get isListed(): boolean {
    return this.phase === 'listed' || this.phase === 'connecting' || this.phase === 'streaming';
  }

  /** The postmaster has forked it. */
  forked(): void {
    if (this.phase !== 'requested') return;
    const { random } = this.#instance.machine;
    this.phase = 'forked';
    this.life.after(random.between(0.1, 3), () => {
      if (this.isDismissed) {
        this.#end();
        return;
      }
      this.phase = 'listed';
      this.life.after(random.between(0.1, 2), () => this.#readPassword());
    });
  }

  /** The startup process wants none: SIGTERM to a running one; one that has not run yet sees it when it does. */
  shutDown(): void {
    this.isDismissed = true;
    if (this.phase === 'requested') this.gone();
    else if (this.phase !== 'forked') this.signalEnd();
  }

  signalEnd(): void {
    this.life.after(this.#instance.machine.random.between(0.2, 4), () => this.#end());
  }

  /** The connection breaks. */
  disconnect(): void {
    this.life.run(() => this.#end());
  }

  gone(): void {
    this.phase = 'ended';
    this.#instance.receivers.delete(this);
    this.#connection?.close(0);
    this.life.end();
  }

  #end(): void {
    if (this.phase === 'ended') return;
    this.gone();
    this.#instance.replay();
  }

  #readPassword(): void {
    // "no password supplied": the upstream asks for one, and require_auth lets in no other.
    if (this.#instance.machine.files.password === 'empty') {
      this.#end();
      return;
    }
    this.life.after(this.#instance.machine.random.between(0.1, 2), () => this.#connect());
  }

  #connect(): void {
    const { id, network, peerAt, instanceAt } = this.#instance.machine;
    this.phase = 'connecting';
    const host = peerAt(this.#upstream.host);
    const connection = network.connect(id, host);
    this.#connection = connection;
    connection.ends[0].onClosed = () => this.life.run(() => this.#end());
    connection.ends[0].onMessage = message => this.life.run(() => this.#receive(message as SenderMessage));
    connection.ends[1].onMessage = message => {
      const upstream = instanceAt(host);
      if (upstream === undefined) connection.close(1);
      else upstream.accept(connection, message as StartReplication);
    };
    const { timeline } = this.#instance.directory.wal;
    connection.send(0, { kind: 'start', name: id, timeline, from: this.#from } satisfies StartReplication);
    this.life.after(CONNECT_TIMEOUT_MS, () => {
      if (this.phase === 'connecting') this.#end();
    });
  }

  #receive(message: SenderMessage): void {
    if (this.phase === 'ended') return;
    this.#heardAt = this.life.now();
    this.#instance.streamMovedAt = this.#instance.machine.scheduler.now;
    if (this.phase === 'connecting') {
      this.phase = 'streaming';
      this.#status();
    }
    if (message.kind === 'wal') {
      this.#inbox.push(message);
      this.#write();
    } else if (message.kind === 'timeline') {
      this.#instance.startup.after(this.#instance.machine.random.between(0.5, 4), () => this.#follow(message));
    }
  }

  /** Writes and flushes what has come; a full volume ends it (C13). */
  #write(): void {
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.life.after(this.#instance.machine.random.between(0.1, 1.2), () => {
      this.#isWriting = false;
      const instance = this.#instance;
      if (instance.machine.volume.isFull) {
        this.#end();
        return;
      }
      for (const { records, to } of this.#inbox.splice(0)) {
        instance.directory.wal.receive(records, to);
        instance.received = to;
      }
      this.#reply(false);
      instance.replay();
      for (const sender of instance.senders) sender.wake();
    });
  }

  /** A timeline that forked before what is replayed already cannot be followed. */
  #follow(message: Extract<SenderMessage, { kind: 'timeline' }>): void {
    if (this.phase === 'ended') return;
    if (this.#inbox.length > 0 || this.#isWriting) {
      this.#instance.startup.after(1, () => this.#follow(message));
      return;
    }
    const instance = this.#instance;
    const { wal } = instance.directory;
    const fork = message.ancestry.find(ancestor => ancestor.timeline === wal.timeline)?.end;
    if (fork === undefined || fork < instance.replayed) {
      instance.machine.witness.note(instance.machine.id, `cannot follow to timeline ${message.timeline}`);
      this.#end();
      return;
    }
    for (const file of message.histories) if (!wal.histories.has(file.timeline)) wal.histories.set(file.timeline, file);
    wal.followTo(message.timeline, message.ancestry);
    instance.follows(fork);
    this.#connection?.send(0, { kind: 'continue', timeline: wal.timeline, from: fork });
    for (const sender of instance.senders) sender.wake();
  }

  #reply(asks: boolean): void {
    const { received, replayed } = this.#instance;
    const flushed = Math.max(received ?? 0, this.#replayedAtStart);
    this.#connection?.send(0, { kind: 'reply', flushed, replayed, asks });
  }

  #status(): void {
    if (this.phase !== 'streaming') return;
    const silentFor = this.life.now() - this.#heardAt;
    if (silentFor >= TIMEOUT_MS) {
      this.#end();
      return;
    }
    this.#reply(silentFor >= TIMEOUT_MS / 2);
    this.life.after(STATUS_MS, () => this.#status());
  }
}
