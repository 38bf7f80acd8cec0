import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../lifecycle/clock.ts';
import { createConnections } from './connections.ts';
import { DatabaseError, statementFailure } from './failure.ts';
import { createGate } from './gate.ts';
import { type DatabaseTarget, isMoving } from './moving-target.ts';
import type { Connection } from './site.ts';

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

export interface QueryOptions {
  /** Stops waiting for the reply; the statement itself is never cancelled, because it may be committing. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds from now after which the call stops waiting. */
  readonly deadlineMs?: number | undefined;
}

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
  /** True when the last evidence, a statement or a connection attempt, was the database answering. */
  isAvailable(): boolean;
  /** Milliseconds since the last evidence; undefined before the first. */
  evidenceAgeMs(): number | undefined;
  readonly waiting: number;
  /** Ends when running statements have. Idempotent. */
  close(): Promise<void>;
}

const UNREPLICATED = /cancell?ing (the )?wait for synchronous replication/i;
/** Milliseconds between two attempts at what was refused: none before the second, then doubled up to the last. */
const AGAIN_MS = { first: 5, last: 25 };

/** What is known of one call. */
interface Call {
  readonly signal: AbortSignal;
  /** A statement was sent and may have been applied. */
  isSent: boolean;
}

/**
 * Admission, deadlines, classification of failures, over connections that follow the target. A connection that failed, or
 * whose caller stopped waiting in the middle of a session, is closed rather than reused.
 */
export function createPool(deps: { logger: Logger; clock: Clock }, target: DatabaseTarget, config: PoolConfig): Pool {
  const gate = createGate({ width: config.size, maxWaiting: config.maxWaiting, maxWaitMs: config.maxWaitMs });
  const connections = createConnections(deps, target, config);
  const patienceMs = isMoving(target) ? target.patienceMs : 0;
  const names = new Map<string, string>();
  let evidence: { ok: boolean; at: number } | undefined;
  let closing: Promise<void> | undefined;

  function witness(ok: boolean): void {
    if (evidence !== undefined && evidence.ok !== ok) {
      deps.logger[ok ? 'info' : 'warn']({ pool: config.name }, ok ? 'database answers again' : 'database unavailable');
    }
    evidence = { ok, at: deps.clock.monotonic() };
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

  async function onConnection<T>(call: Call, body: (session: Session) => Promise<T>): Promise<T> {
    if (closing !== undefined) throw new DatabaseError('unavailable', 'the pool is closed');
    const server = await connections.server(call.signal).catch(error => {
      if (error instanceof DatabaseError) witness(false);
      throw error;
    });
    const leave = await gate.enter(call.signal);
    let connection: Connection | undefined;
    let broken = false;
    try {
      connection = await server.connect().catch(error => {
        witness(false);
        throw error;
      });
      const held = connection;
      const query: Session['query'] = async (text, params = []) => {
        try {
          return await run(held, text, params, call);
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

  /** Again and again while the failures say that it is a matter of the primary moving. */
  async function persist<T>(
    call: Call,
    body: (session: Session) => Promise<T>,
    isWorthAnother: (error: DatabaseError) => boolean,
  ): Promise<T> {
    let since: number | undefined;
    let unknown: DatabaseError | undefined;
    for (let waitMs = 0; ; waitMs = Math.min(Math.max(2 * waitMs, AGAIN_MS.first), AGAIN_MS.last)) {
      try {
        return await onConnection(call, body);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        since ??= deps.clock.monotonic();
        if (error.kind === 'unknown') unknown = error;
        if (isWorthAnother(error) && deps.clock.monotonic() - since < patienceMs) {
          call.isSent = unknown !== undefined;
          await sleep(waitMs, undefined, { signal: call.signal });
          continue;
        }
        // An attempt that was certainly not applied says nothing of an earlier one.
        throw error.kind === 'unavailable' ? (unknown ?? error) : error;
      }
    }
  }

  /** A session the caller gave up on goes on by itself; its connection and its place come back when it ends. */
  function session<T>(
    body: (session: Session) => Promise<T>,
    options: QueryOptions = {},
    isWorthAnother: (error: DatabaseError, call: Call) => boolean = (error, call) => error.isRefusal && !call.isSent,
  ): Promise<T> {
    return withinDeadline(options, config.defaultDeadlineMs, call =>
      persist(call, body, error => isWorthAnother(error, call)),
    );
  }

  return {
    name: config.name,
    query: (text, params = [], options = {}) =>
      session(
        s => s.query(text, params),
        options,
        error => error.isRefusal || (options.isRepeatable === true && error.kind === 'unknown'),
      ),
    session: (body, options) => session(body, options),
    transaction: (body, options) =>
      session(
        s => inTransaction(s, body),
        options,
        error => error.isRefusal,
      ),
    isAvailable: () => evidence?.ok === true,
    evidenceAgeMs: () => (evidence === undefined ? undefined : deps.clock.monotonic() - evidence.at),
    get waiting() {
      return gate.waiting;
    },
    close() {
      closing ??= connections.close();
      return closing;
    },
  };
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

/**
 * Rejects at the deadline or on abort while `work` goes on. At the deadline a statement already sent has an unknown
 * outcome; one that was not is never sent.
 */
function withinDeadline<T>(options: QueryOptions, defaultMs: number, work: (call: Call) => Promise<T>): Promise<T> {
  const given = new AbortController();
  const call: Call = { signal: given.signal, isSent: false };
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
      () => giveUp(new DatabaseError(call.isSent ? 'unknown' : 'unavailable', 'no reply within the deadline')),
      options.deadlineMs ?? defaultMs,
    );
    options.signal?.addEventListener('abort', onAbort, { once: true });
    work(call)
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
      });
  });
}
