import pg from 'pg';
import { MantaError } from '../errors/manta-error.ts';

/**
 * What a failed statement means for its caller (metadata.md §12.12):
 * - `retry`: rolled back by the database because of other sessions; repeating at once makes sense;
 * - `unknown`: it may have been committed or not;
 * - `unavailable`: it was certainly not committed, and the database cannot serve now;
 * - `read_only`, `moved`: the shard's fence (MR001, MR002);
 * - `rejected`: the statement itself is at fault; repeating it gives the same.
 */
export type FailureKind = 'retry' | 'unknown' | 'unavailable' | 'read_only' | 'moved' | 'rejected';

/** A statement or a connection failed. `code` is ServiceUnavailable for what may pass and InternalError otherwise. */
export class DatabaseError extends MantaError {
  readonly kind: FailureKind;
  /** Five characters, when the database itself answered. */
  readonly sqlState?: string;
  /**
   * Only with `unavailable`: this server does not, or no longer, serve. Where the primary may move, the same work may be
   * done elsewhere, or here when its gate has opened.
   */
  readonly isRefusal: boolean;

  constructor(
    kind: FailureKind,
    message: string,
    options: { cause?: unknown; sqlState?: string | undefined; isRefusal?: boolean } = {},
  ) {
    super(kind === 'rejected' ? 'InternalError' : 'ServiceUnavailable', message, { cause: options.cause });
    this.name = 'DatabaseError';
    this.kind = kind;
    this.isRefusal = options.isRefusal ?? false;
    if (options.sqlState !== undefined) this.sqlState = options.sqlState;
  }
}

const KIND_OF_STATE: Readonly<Record<string, FailureKind>> = {
  '40P01': 'retry',
  '40001': 'retry',
  '55P03': 'retry',
  MR001: 'read_only',
  MR002: 'moved',
  // The server went down under the statement.
  '57P01': 'unknown',
  '57P02': 'unknown',
  // It refuses to start one: starting up, too many connections, read-only while another primary takes over.
  '57P03': 'unavailable',
  '53300': 'unavailable',
  '25006': 'unavailable',
  // The server's own statement timeout: rolled back. It never fires while a commit waits for its standby.
  '57014': 'unavailable',
  '53100': 'unavailable',
  '53200': 'unavailable',
  '25P03': 'unavailable',
};

/** Classifies what a statement that was sent to the server threw. */
export function statementFailure(error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const state = error instanceof pg.DatabaseError ? error.code : undefined;
  if (state === undefined) return new DatabaseError('unknown', `connection lost: ${message}`, { cause: error });
  const kind = KIND_OF_STATE[state] ?? (state.startsWith('08') ? 'unknown' : 'rejected');
  return new DatabaseError(kind, message, { cause: error, sqlState: state, isRefusal: state === '25006' });
}

/** A gate is closed (28000 "pg_hba.conf rejects"), or the server starts, recovers or stops. */
const CLOSED = new Set(['28000', '57P01', '57P02', '57P03']);

/** Classifies what connecting threw: whatever it was, no statement ran. */
export function connectFailure(error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const state = error instanceof pg.DatabaseError ? error.code : undefined;
  return new DatabaseError('unavailable', `cannot connect: ${message}`, {
    cause: error,
    sqlState: state,
    isRefusal: state === undefined || CLOSED.has(state),
  });
}
