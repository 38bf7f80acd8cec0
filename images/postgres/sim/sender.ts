import type { Settings } from '../server.ts';
import type { Instance, StartReplication } from './instance.ts';
import type { Connection } from './network.ts';
import type { Life } from './scheduler.ts';
import type { SyncStandby } from './sync-commit.ts';
import type { HistoryFile, Switch, WalRecord } from './wal.ts';

/** What a walsender sends. */
export type SenderMessage =
  | { readonly kind: 'wal'; readonly records: readonly WalRecord[]; readonly to: number }
  /** The timeline asked for has ended; the next one and where it came from. The standby says `continue`. */
  | {
      readonly kind: 'timeline';
      readonly timeline: number;
      readonly ancestry: readonly Switch[];
      readonly histories: readonly HistoryFile[];
    }
  | { readonly kind: 'keepalive' };

/** What a walreceiver sends. */
export type ReceiverMessage =
  | { readonly kind: 'reply'; readonly flushed: number; readonly replayed: number; readonly asks: boolean }
  | { readonly kind: 'continue'; readonly timeline: number; readonly from: number };

const TIMEOUT_MS = 10_000;
const CHECK_MS = 2_500;

/**
 * A walsender. It has its own reading of the configuration and sets its own priority by it; one that was signalled reads
 * again before anything else, and before it starts to stream (replication.md C5, C20), however late it was scheduled.
 */
export class Sender implements SyncStandby {
  readonly life: Life;
  readonly pid: number;
  readonly name: string;
  readonly connection: Connection;
  state: 'startup' | 'catchup' | 'streaming' | 'ended' = 'startup';
  priority = 0;
  sent = 0;
  flushed: number | undefined;
  replayed: number | undefined;
  /** Changes with every reply. */
  replies = 0;
  readonly #instance: Instance;
  #settings: Settings;
  #hasPendingReload = false;
  #timeline: number;
  #isSwitching = false;
  #heardAt: number;

  constructor(instance: Instance, connection: Connection, hello: StartReplication) {
    this.#instance = instance;
    this.life = instance.fork();
    this.pid = instance.nextPid();
    this.name = hello.name;
    this.connection = connection;
    this.#settings = instance.postmasterSettings;
    this.#timeline = hello.timeline;
    this.#heardAt = this.life.now();
    connection.ends[1].onMessage = message => this.life.run(() => this.#receive(message as ReceiverMessage));
    connection.ends[1].onClosed = () => this.life.run(() => this.#end('closed by the standby'));
    this.life.after(instance.machine.random.between(0.3, 2), () => this.#startStreaming(hello.from));
    this.#watchTime();
  }

  get isStreaming(): boolean {
    return this.state === 'streaming';
  }

  signalReload(): void {
    this.#hasPendingReload = true;
    this.life.after(this.#instance.machine.random.between(0, 4), () => this.#readSettings());
  }

  signalEnd(): void {
    this.life.after(0.2, () => this.#end('terminated'));
  }

  /** There may be more to send. */
  wake(): void {
    if (this.state !== 'startup' && this.state !== 'ended') this.life.run(() => this.#send());
  }

  /** Its process is gone. */
  gone(): void {
    this.state = 'ended';
    this.priority = 0;
    this.#instance.senders.delete(this);
    this.connection.close(1);
    this.life.end();
  }

  #end(why: string): void {
    if (this.state === 'ended') return;
    this.#instance.machine.witness.note(this.#instance.machine.id, `sender of ${this.name} ended: ${why}`);
    this.gone();
  }

  #readSettings(): void {
    const { settings } = this.#instance.machine.files;
    if (!this.#hasPendingReload || settings === undefined) return;
    this.#hasPendingReload = false;
    this.#settings = settings;
    if (this.state !== 'startup') this.priority = this.#ownPriority();
  }

  #ownPriority(): number {
    return this.#instance.inRecovery ? 0 : this.#settings.ssn.indexOf(this.name) + 1;
  }

  #startStreaming(from: number): void {
    this.#readSettings();
    const { wal } = this.#instance.directory;
    const end = this.#timeline === wal.timeline ? this.#instance.sendable : wal.endOf(this.#timeline);
    if (end === undefined || from > end) {
      this.#end('the position asked for is not in this history');
      return;
    }
    this.sent = from;
    this.state = 'catchup';
    this.priority = this.#ownPriority();
    this.#send();
  }

  #send(): void {
    if (this.#hasPendingReload) this.#readSettings();
    if (this.#isSwitching || (this.state !== 'catchup' && this.state !== 'streaming')) return;
    const { wal } = this.#instance.directory;
    const isHistoric = this.#timeline !== wal.timeline;
    const limit = isHistoric ? (wal.endOf(this.#timeline) ?? 0) : this.#instance.sendable;
    if (limit > this.sent) {
      const records = wal.records.slice(wal.indexAfter(this.sent), wal.indexAfter(limit - 1) + 1);
      this.#tell({ kind: 'wal', records, to: limit });
      this.sent = limit;
    }
    if (isHistoric) {
      this.#isSwitching = true;
      const { timeline, ancestry, histories } = wal;
      this.#tell({ kind: 'timeline', timeline, ancestry, histories: [...histories.values()] });
      return;
    }
    if (this.state === 'catchup') this.state = 'streaming';
  }

  #receive(message: ReceiverMessage): void {
    if (this.state === 'ended') return;
    if (this.#hasPendingReload) this.#readSettings();
    this.#heardAt = this.life.now();
    if (message.kind === 'continue') {
      this.#isSwitching = false;
      this.#timeline = message.timeline;
      this.sent = message.from;
      // As at every START_REPLICATION: on a server that has been promoted meanwhile it is a cascading sender no more.
      this.priority = this.#ownPriority();
      this.#send();
      return;
    }
    this.flushed = message.flushed;
    this.replayed = message.replayed;
    this.replies += 1;
    if (message.asks) this.#tell({ kind: 'keepalive' });
    this.#instance.sync.release(this, this.#instance.senders, this.#settings.ssn.length);
  }

  #tell(message: SenderMessage): void {
    this.connection.send(1, message);
  }

  #watchTime(): void {
    this.life.after(CHECK_MS, () => {
      if (this.life.now() - this.#heardAt >= TIMEOUT_MS) this.#end('wal_sender_timeout');
      else this.#watchTime();
    });
  }
}
