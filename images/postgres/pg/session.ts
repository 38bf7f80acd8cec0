import { Socket } from 'node:net';
import pg from 'pg';
import { codeOf, MantaError } from '../../../lib/errors/manta-error.ts';

/** Where the server's socket is. */
export interface SocketAddress {
  readonly socketDir: string;
  readonly port: number;
}

/** A connection as superuser, made when it is needed and kept. Its queries run one after the other. */
export interface Session {
  /**
   * Rows of one statement. Rejects with MantaError `PostgresOffline` when the server is not there or has not answered by
   * the deadline (the connection is then dropped), `PostgresFailed` when it refuses the statement. With a name the
   * statement is planned once a connection.
   */
  query<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[], name?: string): Promise<Row[]>;
  /** Drops the connection at once. The next query makes another. */
  drop(): void;
}

export interface SessionOptions {
  readonly name: string;
  readonly deadlineMs: number;
  readonly database?: string;
  /** Statements of a session that writes, whatever the settings in force say. */
  readonly writes?: boolean;
}

const WRITABLE = ' -c default_transaction_read_only=off';

export function createSession(address: SocketAddress, options: SessionOptions): Session {
  let current: { readonly socket: Socket; readonly ready: Promise<pg.Client> } | undefined;

  function drop() {
    current?.socket.destroy();
    current = undefined;
  }

  function connect(): Promise<pg.Client> {
    if (current !== undefined) return current.ready;
    const socket = new Socket();
    const client = new pg.Client({
      host: address.socketDir,
      port: address.port,
      user: 'postgres',
      database: options.database ?? 'postgres',
      application_name: `sitter ${options.name}`,
      stream: () => socket,
      // Limits that are meant for clients.
      options: `-c statement_timeout=0 -c idle_session_timeout=0${options.writes ? WRITABLE : ''}`,
    });
    const mine = { socket, ready: client.connect().then(() => client) };
    const forget = () => {
      if (current === mine) current = undefined;
    };
    client.on('error', forget);
    client.on('end', forget);
    mine.ready.catch(forget);
    current = mine;
    return mine.ready;
  }

  return {
    async query<Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = [], name?: string) {
      const statement = { text: sql, values: [...values], ...(name === undefined ? {} : { name }) };
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          drop();
          reject(new MantaError('PostgresOffline', `no answer within ${options.deadlineMs} ms`));
        }, options.deadlineMs);
      });
      try {
        const answer = connect().then(client => client.query<Row>(statement));
        answer.catch(() => {});
        return (await Promise.race([answer, late])).rows;
      } catch (error) {
        throw asMantaError(error);
      } finally {
        clearTimeout(timer);
      }
    },
    drop,
  };
}

/** Runs `body` on a connection of its own. */
export async function withSession<Value>(
  address: SocketAddress,
  options: SessionOptions,
  body: (session: Session) => Promise<Value>,
): Promise<Value> {
  const session = createSession(address, options);
  try {
    return await body(session);
  } finally {
    session.drop();
  }
}

/** Classes of SQLSTATE that say "not now" and nothing about the statement: connection, shutting down, starting up. */
const NOT_THERE = /^(08|57P0)/;

function asMantaError(error: unknown): MantaError {
  if (error instanceof MantaError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  const refused = error instanceof pg.DatabaseError && code !== undefined && !NOT_THERE.test(code);
  return new MantaError(refused ? 'PostgresFailed' : 'PostgresOffline', message, { cause: error });
}
