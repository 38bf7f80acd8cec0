import type { Instance } from './instance.ts';
import type { WaitEnd } from './sync-commit.ts';
import type { WalRecord } from './wal.ts';

/** How a statement ended at its client. A connection that was lost, and a commit that came with a warning, are `unknown`. */
export type StatementEnd = 'acknowledged' | 'failed' | 'unknown';

/** A client's backend: one statement at a time. */
export class Session {
  readonly #instance: Instance;
  #isOver = false;
  #waiting: { readonly record: WalRecord; readonly answer: (end: StatementEnd) => void } | undefined;
  /** The client hears that its connection is gone. */
  onClosed: () => void = () => {};

  constructor(instance: Instance) {
    this.#instance = instance;
  }

  get hasTransaction(): boolean {
    return this.#waiting !== undefined;
  }

  /**
   * Commits one row. `overrides`: the session has switched read-only off for itself, as any session may (measured). `answer`
   * is called at most once; it is not when the server is gone.
   */
  write(value: number, bytes: number, overrides: boolean, answer: (end: StatementEnd) => void): void {
    const instance = this.#instance;
    const { random } = instance.machine;
    instance.backends.after(random.between(0.1, 1), () => {
      if (this.#isOver) return;
      if (instance.postmasterSettings.readOnly && !overrides) return answer('failed');
      const record = instance.insert('commit', bytes, value, () => {
        if (this.#isOver) instance.uncommitted.delete(record);
        else instance.sync.wait(record, instance.machine.scheduler.now, how => this.#committed(record, how, answer));
      });
      instance.uncommitted.add(record);
      this.#waiting = { record, answer };
    });
  }

  /** `askedAt`: world time at which the client sent it. */
  read(askedAt: number, answer: () => void): void {
    const instance = this.#instance;
    instance.backends.after(instance.machine.random.between(0.1, 1), () => {
      if (this.#isOver) return;
      instance.machine.witness.read(instance.machine.id, instance.directory, askedAt, record =>
        instance.isHidden(record),
      );
      answer();
    });
  }

  /** A cancel request while a commit waits: success with a warning, visible, not replicated (§11.6). */
  cancel(): void {
    const waiting = this.#waiting;
    if (waiting !== undefined)
      this.#instance.backends.run(() => this.#instance.sync.cancel(waiting.record, 'cancelled'));
  }

  /** pg_terminate_backend, or a fast shutdown: the connection is lost; a commit that waited is visible from now on. */
  end(): void {
    this.#instance.backends.run(() => {
      if (this.#isOver) return;
      const waiting = this.#waiting;
      this.gone();
      if (waiting !== undefined) this.#instance.sync.cancel(waiting.record, 'terminated');
    });
  }

  /** The client is gone. A backend that waits notices nothing; its commit ends as it would have. */
  hangUp(): void {
    this.#instance.backends.run(() => {
      this.onClosed = () => {};
      if (this.#waiting === undefined) this.gone();
    });
  }

  gone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#instance.sessions.delete(this);
    this.onClosed();
  }

  #committed(record: WalRecord, how: WaitEnd, answer: (end: StatementEnd) => void): void {
    const { machine, uncommitted } = this.#instance;
    uncommitted.delete(record);
    this.#waiting = undefined;
    if (how === 'cancelled' || how === 'terminated') machine.witness.exempted(record, how);
    if (how === 'confirmed' || how === 'released') {
      machine.witness.acknowledged(machine.id, record);
      answer('acknowledged');
    } else answer('unknown');
  }
}
