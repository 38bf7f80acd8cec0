import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../lifecycle/clock.ts';
import { type Connections, createConnections } from './connections.ts';
import { type Call, type QueryOptions, withinDeadline } from './deadline.ts';
import { DatabaseError, statementFailure } from './failure.ts';
import { createGate, type Gate } from './gate.ts';
import { type DatabaseTarget, isMoving } from './moving-target.ts';
import type { Connection } from './site.ts';

export type { QueryOptions } from './deadline.ts';
export type { ConnectionTarget } from './moving-target.ts';

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

/** Of a single statement. */
export interface StatementOptions extends QueryOptions {
  /**
   * Running it twice is as good as once. While the primary moves it is then tried again also when its outcome is unknown.
   */
  readonly isRepeatable?: boolean;
}

/** Statements on one connection. */
export interface Session {
  /** Every distinct text is prepared once a connection. Throws DatabaseError. */
  query<Row extends pg.QueryResultRow>(text: string, params?: readonly unknown[]): Promise<Row[]>;
}

/**
 * A bounded set of connections to one database that mends itself. All methods throw DatabaseError. Where the database may
 * move, work that a server refused, which is then certainly not done, waits for the next one, within bounds.
 */
export interface Pool {
  readonly name: string;
  query<Row extends pg.QueryResultRow>(
    text: string,
    params?: readonly unknown[],
    options?: StatementOptions,
  ): Promise<Row[]>;
  /**
   * Keeps one connection for the body, outside a transaction. For session locks and statements that belong together. Once
   * one of them was sent, nothing is tried again.
   */
  session<T>(body: (session: Session) => Promise<T>, options?: QueryOptions): Promise<T>;
  /**
   * Commits when the body resolves, rolls back when it throws. A failed COMMIT is `unknown`. The body runs again when the
   * primary moves before COMMIT was sent.
   */
  transaction<T>(body: (session: Session) => Promise<T>, options?: QueryOptions): Promise<T>;
  /**
   * True when the last evidence, a statement or a connection attempt, was the database answering. A primary that has just
   * been lost counts for as long as work waits for the next one: to refuse it would be to refuse what is about to be done.
   */
  isAvailable(): boolean;
  /** Milliseconds since the last evidence; undefined before the first. */
  evidenceAgeMs(): number | undefined;
  readonly waiting: number;
  /** Ends when running statements have. Idempotent. */
  close(): Promise<void>;
}

/**
 * Admission, deadlines, classification of failures, over connections that follow the target. A connection that failed, or
 * whose caller stopped waiting in the middle of a session, is closed rather than reused.
 */
export function createPool(deps: PoolDeps, target: DatabaseTarget, config: PoolConfig): Pool {
  return new ConnectedPool(deps, target, config);
}

interface PoolDeps {
  readonly logger: Logger;
  readonly clock: Clock;
}

type Body<T> = (session: Session) => Promise<T>;

const UNREPLICATED = /cancell?ing (the )?wait for synchronous replication/i;
/** Milliseconds between two attempts at what was refused: none before the second, then doubled up to the last. */
const AGAIN_MS = { first: 5, last: 25 };

class ConnectedPool implements Pool {
  readonly name: string;
  readonly #deps: PoolDeps;
  readonly #config: PoolConfig;
  readonly #gate: Gate;
  readonly #connections: Connections;
  readonly #patienceMs: number;
  readonly #names = new Map<string, string>();
  #evidence: { readonly ok: boolean; readonly at: number } | undefined;
  /** When the database that had answered ceased to. */
  #lostAt = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(deps: PoolDeps, target: DatabaseTarget, config: PoolConfig) {
    this.name = config.name;
    this.#deps = deps;
    this.#config = config;
    this.#gate = createGate({ width: config.size, maxWaiting: config.maxWaiting, maxWaitMs: config.maxWaitMs });
    this.#connections = createConnections(deps, target, config);
    this.#patienceMs = isMoving(target) ? target.patienceMs : 0;
  }

  query<Row extends pg.QueryResultRow>(
    text: string,
    params: readonly unknown[] = [],
    options: StatementOptions = {},
  ): Promise<Row[]> {
    const { isRepeatable = false } = options;
    const body: Body<Row[]> = session => session.query<Row>(text, params);
    return this.#within(options, body, error => error.isRefusal || (isRepeatable && error.kind === 'unknown'));
  }

  session<T>(body: Body<T>, options: QueryOptions = {}): Promise<T> {
    return this.#within(options, body, (error, call) => error.isRefusal && !call.isSent);
  }

  transaction<T>(body: Body<T>, options: QueryOptions = {}): Promise<T> {
    return this.#within(
      options,
      session => inTransaction(session, body),
      error => error.isRefusal,
    );
  }

  isAvailable(): boolean {
    return this.#evidence?.ok === true || this.#deps.clock.monotonic() - this.#lostAt < this.#patienceMs;
  }

  evidenceAgeMs(): number | undefined {
    return this.#evidence === undefined ? undefined : this.#deps.clock.monotonic() - this.#evidence.at;
  }

  get waiting(): number {
    return this.#gate.waiting;
  }

  close(): Promise<void> {
    this.#closing ??= this.#connections.close();
    return this.#closing;
  }

  /** A session the caller gave up on goes on by itself; its connection and its place come back when it ends. */
  #within<T>(
    options: QueryOptions,
    body: Body<T>,
    isWorthAnother: (error: DatabaseError, call: Call) => boolean,
  ): Promise<T> {
    return withinDeadline(options, this.#config.defaultDeadlineMs, call => this.#persist(call, body, isWorthAnother));
  }

  /** Again and again while the failures say that it is a matter of the primary moving. */
  async #persist<T>(
    call: Call,
    body: Body<T>,
    isWorthAnother: (error: DatabaseError, call: Call) => boolean,
  ): Promise<T> {
    let since: number | undefined;
    let unknown: DatabaseError | undefined;
    for (let waitMs = 0; ; waitMs = Math.min(Math.max(2 * waitMs, AGAIN_MS.first), AGAIN_MS.last)) {
      try {
        return await this.#onConnection(call, body);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        since ??= this.#deps.clock.monotonic();
        if (error.kind === 'unknown') unknown = error;
        const isOver = this.#deps.clock.monotonic() - since >= this.#patienceMs;
        // An attempt that was certainly not applied says nothing of an earlier one.
        if (isOver || !isWorthAnother(error, call)) {
          throw error.kind === 'unavailable' ? (unknown ?? error) : error;
        }
      }
      call.isSent = unknown !== undefined;
      await sleep(waitMs, undefined, { signal: call.signal });
    }
  }

  async #onConnection<T>(call: Call, body: Body<T>): Promise<T> {
    if (this.#closing !== undefined) throw new DatabaseError('unavailable', 'the pool is closed');
    const server = await this.#connections.server(call.signal).catch(error => {
      if (error instanceof DatabaseError) this.#witness(false);
      throw error;
    });
    const leave = await this.#gate.enter(call.signal);
    let connection: Connection | undefined;
    let broken = false;
    try {
      connection = await server.connect().catch(error => {
        this.#witness(false);
        throw error;
      });
      const held = connection;
      const query: Session['query'] = async (text, params = []) => {
        try {
          return await this.#run(held, text, params, call);
        } catch (error) {
          // The connection is gone or going, or leads to a server that is no longer the primary.
          broken ||= error instanceof DatabaseError && (error.kind === 'unknown' || error.isRefusal);
          throw error;
        }
      };
      call.signal.throwIfAborted();
      return await body({ query });
    } finally {
      connection?.release(broken || !connection.isUsable());
      leave();
    }
  }

  async #run<Row extends pg.QueryResultRow>(
    connection: Connection,
    text: string,
    params: readonly unknown[],
    call: Call,
  ): Promise<Row[]> {
    if (!connection.isUsable()) {
      throw new DatabaseError('unavailable', 'the connection was lost before the statement', { isRefusal: true });
    }
    const { client } = connection;
    let unreplicated = false;
    const onNotice = (notice: { message?: string | undefined }) => {
      if (UNREPLICATED.test(notice.message ?? '')) unreplicated = true;
    };
    client.on('notice', onNotice);
    call.isSent = true;
    try {
      const result = await client.query<Row>({ name: this.#nameOf(text), text, values: [...params] });
      this.#witness(true);
      if (unreplicated) throw new DatabaseError('unknown', 'committed without its standby');
      return result.rows;
    } catch (error) {
      const failure = statementFailure(error);
      // 25006 answers, but from a server that is not, or no longer, the primary.
      this.#witness((failure.kind !== 'unknown' && failure.kind !== 'unavailable') || failure.sqlState === '57014');
      throw failure;
    } finally {
      client.off('notice', onNotice);
    }
  }

  #nameOf(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) {
      name = `q${this.#names.size}`;
      this.#names.set(text, name);
    }
    return name;
  }

  #witness(ok: boolean): void {
    const pool = this.name;
    if (this.#evidence !== undefined && this.#evidence.ok !== ok) {
      this.#deps.logger[ok ? 'info' : 'warn']({ pool }, ok ? 'database answers again' : 'database unavailable');
    }
    const at = this.#deps.clock.monotonic();
    if (this.#evidence?.ok === true && !ok) this.#lostAt = at;
    this.#evidence = { ok, at };
  }
}

async function inTransaction<T>(session: Session, body: (session: Session) => Promise<T>): Promise<T> {
  let result: T;
  try {
    await session.query('BEGIN');
    result = await body(session);
  } catch (error) {
    const lost = error instanceof DatabaseError && error.kind === 'unknown';
    // Before COMMIT was sent nothing can have been committed, whatever became of the connection.
    if (lost) throw new DatabaseError('unavailable', error.message, { cause: error, isRefusal: true });
    // A server that refuses the statement is left, and rolls back when the connection ends.
    if (!(error instanceof DatabaseError && error.isRefusal)) await session.query('ROLLBACK').catch(() => {});
    throw error;
  }
  await session.query('COMMIT');
  return result;
}
