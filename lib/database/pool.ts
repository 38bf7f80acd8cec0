import pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../lifecycle/clock.ts';
import { connectFailure, DatabaseError, statementFailure } from './failure.ts';
import { createGate } from './gate.ts';

/** Where to connect. Asked for every new connection, so that it may follow a primary that moves. */
export type ConnectionTarget = () => pg.ClientConfig;

export interface PoolConfig {
  /** For logs: which database this is. */
  readonly name: string;
  /** Connections at most. */
  readonly size: number;
  /** Calls that may wait for a connection, and for how many milliseconds. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** Milliseconds for establishing a connection. */
  readonly connectMs: number;
  /** Milliseconds, enforced by the server (metadata.md §12.12). */
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly idleInTransactionTimeoutMs: number;
  /** Milliseconds after which a call without a deadline of its own stops waiting. */
  readonly defaultDeadlineMs: number;
}

/** The figures of metadata.md §12.12. */
export const poolDefaults: Omit<PoolConfig, 'name'> = {
  size: 8,
  maxWaiting: 2_000,
  maxWaitMs: 500,
  connectMs: 2_000,
  statementTimeoutMs: 5_000,
  lockTimeoutMs: 2_000,
  idleInTransactionTimeoutMs: 10_000,
  defaultDeadlineMs: 15_000,
};

export interface QueryOptions {
  /** Stops waiting for the reply; the statement itself is never cancelled, because it may be committing. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds from now after which the call stops waiting. */
  readonly deadlineMs?: number | undefined;
}

/** Statements on one connection. */
export interface Session {
  /** Every distinct text is prepared once a connection. Throws DatabaseError. */
  query<Row extends pg.QueryResultRow>(text: string, params?: readonly unknown[]): Promise<Row[]>;
}

/** A bounded set of connections to one database that mends itself. All methods throw DatabaseError. */
export interface Pool {
  readonly name: string;
  query<Row extends pg.QueryResultRow>(
    text: string,
    params?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  /** Keeps one connection for the body, outside a transaction. For session locks and statements that belong together. */
  session<T>(body: (session: Session) => Promise<T>, options?: QueryOptions): Promise<T>;
  /** Commits when the body resolves, rolls back when it throws. A failed COMMIT is `unknown`. */
  transaction<T>(body: (session: Session) => Promise<T>, options?: QueryOptions): Promise<T>;
  /** True when the last evidence, a statement or a connection attempt, was the database answering. */
  isAvailable(): boolean;
  /** Milliseconds since the last evidence; undefined before the first. */
  evidenceAgeMs(): number | undefined;
  readonly waiting: number;
  /** Ends when running statements have. Idempotent. */
  close(): Promise<void>;
}

/** Milliseconds beyond the server's statement timeout after which a connection without a reply is given up. */
const SILENCE_MS = 20_000;
const UNREPLICATED = /cancell?ing (the )?wait for synchronous replication/i;

/**
 * A thin layer over pg.Pool: admission, deadlines, classification of failures. A connection that failed, or whose caller
 * stopped waiting in the middle of a session, is closed rather than reused.
 */
export function createPool(deps: { logger: Logger; clock: Clock }, target: ConnectionTarget, config: PoolConfig): Pool {
  const gate = createGate({ width: config.size, maxWaiting: config.maxWaiting, maxWaitMs: config.maxWaitMs });
  const names = new Map<string, string>();
  let evidence: { ok: boolean; at: number } | undefined;
  let closing: Promise<void> | undefined;

  class Client extends pg.Client {
    constructor() {
      super({
        application_name: 'manta',
        keepAlive: true,
        ...target(),
        statement_timeout: config.statementTimeoutMs,
        lock_timeout: config.lockTimeoutMs,
        idle_in_transaction_session_timeout: config.idleInTransactionTimeoutMs,
        // For a server that went silent: its own timeouts come first.
        query_timeout: config.statementTimeoutMs + SILENCE_MS,
      });
      // The server's farewell may come in the same packet as what completes the connection, before anybody listens. The
      // next statement meets the broken connection in any case.
      this.on('error', () => {});
    }
  }
  const connections = new pg.Pool({
    Client: Client as unknown as typeof pg.Client & (new () => pg.ClientBase),
    max: config.size,
    connectionTimeoutMillis: config.connectMs,
    idleTimeoutMillis: 30_000,
  });
  // An idle connection that dies is no news to anybody: the next call opens another.
  connections.on('error', error => deps.logger.debug({ pool: config.name, err: error }, 'idle connection lost'));

  function witness(ok: boolean): void {
    if (evidence !== undefined && evidence.ok !== ok) {
      deps.logger[ok ? 'info' : 'warn']({ pool: config.name }, ok ? 'database answers again' : 'database unavailable');
    }
    evidence = { ok, at: deps.clock.monotonic() };
  }

  async function connect(): Promise<pg.PoolClient> {
    try {
      return await connections.connect();
    } catch (error) {
      witness(false);
      throw connectFailure(error);
    }
  }

  function nameOf(text: string): string {
    let name = names.get(text);
    if (name === undefined) {
      name = `q${names.size}`;
      names.set(text, name);
    }
    return name;
  }

  async function run<Row extends pg.QueryResultRow>(
    client: pg.PoolClient,
    text: string,
    params: readonly unknown[],
  ): Promise<Row[]> {
    let unreplicated = false;
    const onNotice = (notice: { message?: string | undefined }) => {
      if (UNREPLICATED.test(notice.message ?? '')) unreplicated = true;
    };
    client.on('notice', onNotice);
    try {
      const result = await client.query<Row>({ name: nameOf(text), text, values: [...params] });
      witness(true);
      if (unreplicated) throw new DatabaseError('unknown', 'committed without its standby');
      return result.rows;
    } catch (error) {
      const failure = statementFailure(error);
      // 25006 answers, but from a server that is not, or no longer, the primary.
      witness((failure.kind !== 'unknown' && failure.kind !== 'unavailable') || failure.sqlState === '57014');
      throw failure;
    } finally {
      client.off('notice', onNotice);
    }
  }

  /** A session the caller gave up on goes on by itself; its connection and its place come back when it ends. */
  function session<T>(body: (session: Session) => Promise<T>, options: QueryOptions = {}): Promise<T> {
    return withinDeadline(options, config.defaultDeadlineMs, async signal => {
      if (closing !== undefined) throw new DatabaseError('unavailable', 'the pool is closed');
      const leave = await gate.enter(signal);
      let client: pg.PoolClient | undefined;
      let broken = false;
      try {
        client = await connect();
        const held = client;
        // Lost between two statements.
        const onError = () => {
          broken = true;
        };
        held.on('error', onError);
        const query: Session['query'] = async (text, params = []) => {
          try {
            return await run(held, text, params);
          } catch (error) {
            // The connection is gone or going, or leads to a server that is no longer the primary.
            broken ||= error instanceof DatabaseError && (error.kind === 'unknown' || error.sqlState === '25006');
            throw error;
          }
        };
        try {
          signal.throwIfAborted();
          return await body({ query });
        } finally {
          held.off('error', onError);
        }
      } finally {
        client?.release(broken);
        leave();
      }
    });
  }

  return {
    name: config.name,
    query: (text, params = [], options) => session(s => s.query(text, params), options),
    session,
    transaction: (body, options) => session(s => inTransaction(s, body), options),
    isAvailable: () => evidence?.ok === true,
    evidenceAgeMs: () => (evidence === undefined ? undefined : deps.clock.monotonic() - evidence.at),
    get waiting() {
      return gate.waiting;
    },
    close() {
      closing ??= connections.end();
      return closing;
    },
  };
}

async function inTransaction<T>(session: Session, body: (session: Session) => Promise<T>): Promise<T> {
  await session.query('BEGIN');
  let result: T;
  try {
    result = await body(session);
  } catch (error) {
    const lost = error instanceof DatabaseError && error.kind === 'unknown';
    // Before COMMIT was sent nothing can have been committed, whatever became of the connection.
    if (lost) throw new DatabaseError('unavailable', error.message, { cause: error });
    await session.query('ROLLBACK');
    throw error;
  }
  await session.query('COMMIT');
  return result;
}

/** Rejects at the deadline or on abort while `work` goes on; a statement already sent then has an unknown outcome. */
function withinDeadline<T>(
  options: QueryOptions,
  defaultMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const given = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      reject(reason);
      given.abort(reason);
    };
    const onAbort = () => giveUp(options.signal?.reason);
    if (options.signal?.aborted) {
      onAbort();
      return;
    }
    const timer = setTimeout(
      () => giveUp(new DatabaseError('unknown', 'no reply within the deadline')),
      options.deadlineMs ?? defaultMs,
    );
    options.signal?.addEventListener('abort', onAbort, { once: true });
    work(given.signal)
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
      });
  });
}
