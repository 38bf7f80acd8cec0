import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { DatabaseError } from '../../lib/database/failure.ts';
import type { Pool } from '../../lib/database/pool.ts';
import type { Outcome } from './operation.ts';

/** What became of one insert. `why` where it is not `ok`. */
export interface InsertResult {
  readonly outcome: Outcome;
  readonly timeline?: number;
  readonly why?: string;
}

/** One client of the system under test. Nothing here throws. */
export interface LoadClient {
  /** One row, in a transaction of its own, once: a row that may have been applied is never tried again. */
  insert(client: number, id: number): Promise<InsertResult>;
  /** The newest id of each writer below `writers`; undefined when the read failed. */
  newest(writers: number): Promise<readonly number[] | undefined>;
  /** Also while an operation hangs. Idempotent. */
  close(): Promise<void>;
}

/** Weakens the writes on purpose, to see whether the checker notices: `off` and `local` do not wait for the standby. */
export type Durability = 'on' | 'local' | 'off';

const IDENTIFIER = /^[a-z_][a-z0-9_]*$/;
const UNREPLICATED = /cancell?ing (the )?wait for synchronous replication/i;

/** What makes the table. Without a unique constraint, so that a row applied twice is found rather than prevented. */
export function createTable(table: string, grantee?: string): readonly string[] {
  const name = checked(table);
  return [
    `CREATE TABLE ${name} (client int NOT NULL, id bigint NOT NULL, timeline int NOT NULL)`,
    `CREATE INDEX ON ${name} (client, id)`,
    ...(grantee === undefined ? [] : [`GRANT SELECT, INSERT ON ${name} TO ${checked(grantee)}`]),
  ];
}

/** A client on a pool of lib/database, which may follow the primary of a shard. Closing it leaves the pool open. */
export function poolClient(pool: Pool, table: string, durability: Durability = 'on'): LoadClient {
  const texts = statements(table);
  return {
    async insert(client, id) {
      try {
        const rows = await pool.transaction(async session => {
          if (durability !== 'on') await session.query(`SET LOCAL synchronous_commit = '${durability}'`);
          return session.query<{ timeline: number }>(texts.insert, [client, id]);
        });
        return { outcome: 'ok', timeline: rows[0]?.timeline ?? 0 };
      } catch (error) {
        // Anything but `unknown` says that nothing was committed (metadata.md §12.12).
        const isKnown = error instanceof DatabaseError && error.kind !== 'unknown';
        return { outcome: isKnown ? 'fail' : 'unknown', why: explain(error) };
      }
    },
    async newest(writers) {
      try {
        return (await pool.query<{ id: number }>(texts.newest, [writers])).map(row => Number(row.id));
      } catch {
        return undefined;
      }
    },
    close: async () => {},
  };
}

export interface SessionConfig {
  readonly table: string;
  /** Opens a connection to whatever serves writes now; asked again after every failure. */
  readonly connect: () => Promise<pg.Client>;
  /** Milliseconds after which a statement without a reply is given up and its connection closed. */
  readonly deadlineMs?: number;
  /** Milliseconds between two attempts at connecting. */
  readonly againMs?: number;
  readonly durability?: Durability;
}

/**
 * A client with one connection of its own, found by `connect`, for systems that our pools do not know. A write without a
 * connection waits for one instead of failing, as our pools do, up to the deadline.
 */
export function sessionClient(config: SessionConfig): LoadClient {
  const { connect, deadlineMs = 5_000, againMs = 10, durability = 'on' } = config;
  const texts = statements(config.table);
  let client: pg.Client | undefined;
  let isClosed = false;
  let isUnreplicated = false;

  async function connection(): Promise<pg.Client> {
    const until = performance.now() + deadlineMs;
    while (client === undefined) {
      try {
        const opened = await connect();
        opened.on('error', () => drop(opened));
        opened.on('notice', ({ message }) => {
          if (UNREPLICATED.test(message ?? '')) isUnreplicated = true;
        });
        if (isClosed) drop(opened);
        else client = opened;
        if (durability !== 'on') await opened.query(`SET synchronous_commit = '${durability}'`);
      } catch (error) {
        client = undefined;
        if (isClosed || performance.now() > until) throw error;
        await sleep(againMs);
      }
    }
    return client;
  }

  function drop(lost: pg.Client): void {
    if (client === lost) client = undefined;
    destroy(lost);
  }

  async function send<Row extends pg.QueryResultRow>(to: pg.Client, text: string, values: unknown[] = []) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no reply within ${deadlineMs} ms`)), deadlineMs);
    });
    try {
      return await Promise.race([to.query<Row>(text, values), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async insert(number, id) {
      let on: pg.Client | undefined;
      let isCommitting = false;
      try {
        on = await connection();
        await send(on, 'BEGIN');
        const { rows } = await send<{ timeline: number }>(on, texts.insert, [number, id]);
        isUnreplicated = false;
        isCommitting = true;
        const { command } = await send(on, 'COMMIT');
        if (command !== 'COMMIT') return { outcome: 'fail', why: `COMMIT answered ${command}` };
        if (isUnreplicated) return { outcome: 'unknown', why: 'committed without its standby' };
        return { outcome: 'ok', timeline: rows[0]?.timeline ?? 0 };
      } catch (error) {
        // The end of the connection ends a transaction whose COMMIT was never sent.
        if (on !== undefined) drop(on);
        return { outcome: isCommitting && !isRolledBack(error) ? 'unknown' : 'fail', why: explain(error) };
      }
    },
    async newest(writers) {
      let on: pg.Client | undefined;
      try {
        on = await connection();
        return (await send<{ id: number }>(on, texts.newest, [writers])).rows.map(row => Number(row.id));
      } catch {
        if (on !== undefined) drop(on);
        return undefined;
      }
    },
    async close() {
      isClosed = true;
      if (client !== undefined) drop(client);
    },
  };
}

function statements(table: string) {
  const name = checked(table);
  return {
    // The timeline of the server that takes the row: the first eight digits of the name of its current WAL file.
    insert: `INSERT INTO ${name} (client, id, timeline) VALUES ($1, $2,
      ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int) RETURNING timeline`,
    newest: `SELECT coalesce((SELECT max(id) FROM ${name} WHERE client = writer), 0) AS id
      FROM generate_series(0, $1::int - 1) AS writer ORDER BY writer`,
  };
}

function checked(identifier: string): string {
  if (!IDENTIFIER.test(identifier)) throw new Error(`not a plain SQL name: ${identifier}`);
  return identifier;
}

/** An ERROR in reply to COMMIT means a rollback; FATAL and worse end the session after, perhaps, a commit. */
function isRolledBack(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR';
}

/** Without the server's goodbye, which may never come, and without a cancel request. */
export function destroy(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
