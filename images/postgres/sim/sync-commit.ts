import type { WalRecord } from './wal.ts';

/** What a walsender shows in shared memory of the standby at its other end. */
export interface SyncStandby {
  readonly isStreaming: boolean;
  /** By this sender's own reading of the configuration; 0: not named. */
  readonly priority: number;
  readonly flushed: number | undefined;
}

/** How a wait for standbys ended. `cancelled`: visible, acknowledged with a warning, and not replicated. */
export type WaitEnd = 'confirmed' | 'released' | 'cancelled' | 'terminated';

interface Waiter {
  readonly record: WalRecord;
  readonly end: (how: WaitEnd) => void;
}

/**
 * Synchronous commit (replication.md §11.6). Each walsender releases by its own reading of synchronous_standby_names, and
 * counts walsenders, not names: two connections of one standby count as two, as in PostgreSQL. Whether commits wait at all
 * is the checkpointer's reading; when that turns empty, everything that waits is released as successful (measured).
 */
export class SyncCommit {
  #waiters: Waiter[] = [];
  #isDefined: boolean;
  #since: number | undefined;

  constructor(isDefined: boolean) {
    this.#isDefined = isDefined;
  }

  /** Since when something has been waiting without a break, on the clock of `wait`. */
  get waitingSince(): number | undefined {
    return this.#since;
  }

  isHidden(record: WalRecord): boolean {
    return this.#waiters.some(waiter => waiter.record === record);
  }

  /** `end` is called once, at once when nobody is to be waited for. */
  wait(record: WalRecord, now: number, end: (how: WaitEnd) => void): void {
    if (!this.#isDefined) {
      end('released');
      return;
    }
    this.#since ??= now;
    this.#waiters.push({ record, end });
  }

  /** The checkpointer has read the configuration. */
  define(isDefined: boolean): void {
    this.#isDefined = isDefined;
    if (!isDefined) this.#finish(() => true, 'released');
  }

  /** A walsender got a reply. `required`: how many its own configuration asks for. */
  release(releaser: SyncStandby, all: Iterable<SyncStandby>, required: number): void {
    const candidates = [...all]
      .filter(standby => standby.isStreaming && standby.priority > 0 && standby.flushed !== undefined)
      .sort((a, b) => a.priority - b.priority)
      .slice(0, required);
    if (required === 0 || candidates.length < required || !candidates.includes(releaser)) return;
    const confirmed = Math.min(...candidates.map(standby => standby.flushed ?? 0));
    this.#finish(waiter => waiter.record.end <= confirmed, 'confirmed');
  }

  cancel(record: WalRecord, how: 'cancelled' | 'terminated'): void {
    this.#finish(waiter => waiter.record === record, how);
  }

  #finish(isDone: (waiter: Waiter) => boolean, how: WaitEnd): void {
    const done = this.#waiters.filter(isDone);
    if (done.length === 0) return;
    this.#waiters = this.#waiters.filter(waiter => !isDone(waiter));
    if (this.#waiters.length === 0) this.#since = undefined;
    for (const waiter of done) waiter.end(how);
  }
}
