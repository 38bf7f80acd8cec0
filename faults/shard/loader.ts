import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { type Gap, gapBetween } from './gap.ts';
import type { LoadClient } from './load-client.ts';
import { Journal } from './operation.ts';

export interface LoaderConfig {
  /** How a writer or reader reaches the database; called once for each, with its number. */
  readonly connect: (number: number) => LoadClient;
  readonly writers?: number;
  readonly readers?: number;
  /** Milliseconds between the end of one write and the start of the writer's next. */
  readonly paceMs?: number;
  /** Milliseconds between two reads of a reader. */
  readonly readEveryMs?: number;
  /** Milliseconds that `stop` gives operations under way; what is not back by then is unknown. */
  readonly stopWithinMs?: number;
  /** Every operation is appended here as a line of JSON. */
  readonly file?: string;
}

/** Writers with unique ids and readers, running until stopped. */
export interface Loader {
  readonly journal: Journal;
  readonly writers: number;
  /** The journal's clock, for marking events. */
  now(): number;
  /** Resolves when a write that started after this call has been acknowledged; rejects after `withinMs`. */
  acknowledged(withinMs: number): Promise<void>;
  /** What clients felt since `from`, up to now or to `until`. */
  gap(from: number, until?: number): Gap;
  /** Ends the load and returns all that is known. Idempotent. */
  stop(): Promise<Journal>;
}

const defaults = { writers: 8, readers: 1, paceMs: 5, readEveryMs: 20, stopWithinMs: 20_000 };

/**
 * Eight writers, each one transaction with one row at a time (replication.md §16.4), and a reader. The table must be there:
 * `createTable` of load-client.ts.
 */
export function startLoader(deps: { readonly clock: Clock }, config: LoaderConfig): Loader {
  const { writers, readers, paceMs, readEveryMs, stopWithinMs } = { ...defaults, ...config };
  const journal = new Journal(config.file);
  const stopping = new AbortController();
  const underWay = new Map<number, { readonly id: number; readonly invoke: number }>();
  const now = () => deps.clock.monotonic();
  const pause = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => {});
  let stopped: Promise<Journal> | undefined;
  let isClosed = false;

  async function write(client: number, connection: LoadClient): Promise<void> {
    for (let id = 1; !stopping.signal.aborted; id += 1) {
      const invoke = now();
      underWay.set(client, { id, invoke });
      const result = await connection.insert(client, id);
      if (isClosed) return;
      underWay.delete(client);
      journal.append({ op: 'write', client, id, invoke, complete: now(), ...result });
      await pause(paceMs);
    }
  }

  async function read(client: number, connection: LoadClient): Promise<void> {
    while (!stopping.signal.aborted) {
      const invoke = now();
      const seen = await connection.newest(writers);
      if (isClosed) return;
      if (seen !== undefined) journal.append({ op: 'read', client, invoke, complete: now(), seen });
      await pause(readEveryMs);
    }
  }

  async function end(): Promise<Journal> {
    stopping.abort();
    const patience = new AbortController();
    await Promise.race([Promise.all(running), sleep(stopWithinMs, undefined, { signal: patience.signal })]);
    patience.abort();
    isClosed = true;
    for (const [client, { id, invoke }] of underWay) {
      const why = 'no answer at the end';
      journal.append({ op: 'write', client, id, invoke, complete: now(), outcome: 'unknown', why });
    }
    await Promise.all(connections.map(connection => connection.close()));
    await journal.close();
    return journal;
  }

  const connections = Array.from({ length: writers + readers }, (_, index) => config.connect(index));
  const running = connections.map((connection, index) =>
    index < writers ? write(index, connection) : read(index, connection),
  );

  return {
    journal,
    writers,
    now,
    async acknowledged(withinMs) {
      const since = now();
      let looked = journal.writes.length;
      while (now() - since < withinMs) {
        for (; looked < journal.writes.length; looked += 1) {
          const write = journal.writes[looked];
          if (write?.outcome === 'ok' && write.invoke >= since) return;
        }
        await sleep(5);
      }
      throw new Error(`no write was acknowledged within ${withinMs} ms`);
    },
    gap: (from, until = now()) => gapBetween(journal.writes, from, until),
    stop() {
      stopped ??= end();
      return stopped;
    },
  };
}
