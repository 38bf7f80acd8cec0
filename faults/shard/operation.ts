import { createWriteStream, type WriteStream } from 'node:fs';

/**
 * What became of a write (replication.md §1.2). `ok`: its COMMIT was acknowledged without a warning. `fail`: certainly not
 * applied. `unknown`: COMMIT was sent, and whether it was applied only the table can tell.
 */
export type Outcome = 'ok' | 'fail' | 'unknown';

/** One write of one client. Times are milliseconds of one monotonic clock. */
export interface WriteOperation {
  readonly op: 'write';
  readonly client: number;
  /** Grows by one with every write of the client. */
  readonly id: number;
  readonly invoke: number;
  readonly complete: number;
  readonly outcome: Outcome;
  /** Timeline of the server that took the row, where it said so. */
  readonly timeline?: number;
  /** Why it is not `ok`. */
  readonly why?: string;
}

/** One read of the newest id that each writer has in the table; a writer without rows has 0. */
export interface ReadOperation {
  readonly op: 'read';
  readonly client: number;
  readonly invoke: number;
  readonly complete: number;
  readonly seen: readonly number[];
}

/** All operations of a run, in the order of their completion: append-only, in memory and, if asked, as lines of JSON. */
export class Journal {
  readonly writes: WriteOperation[] = [];
  readonly reads: ReadOperation[] = [];
  readonly #file: WriteStream | undefined;

  constructor(file?: string) {
    this.#file = file === undefined ? undefined : createWriteStream(file, { flags: 'a' });
  }

  append(operation: WriteOperation | ReadOperation): void {
    if (operation.op === 'write') this.writes.push(operation);
    else this.reads.push(operation);
    this.#file?.write(`${JSON.stringify(operation)}\n`);
  }

  count(outcome: Outcome): number {
    return this.writes.reduce((sum, write) => sum + (write.outcome === outcome ? 1 : 0), 0);
  }

  close(): Promise<void> {
    const file = this.#file;
    return file === undefined ? Promise.resolve() : new Promise(resolve => file.end(resolve));
  }
}
