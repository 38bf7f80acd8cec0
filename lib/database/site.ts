import { Socket } from 'node:net';
import pg from 'pg';
import type { Logger } from 'pino';
import { connectFailure, DatabaseError } from './failure.ts';
import { assertHome } from './home-check.ts';
import type { ConnectionTarget, Home } from './moving-target.ts';

/** What connections are made with; see PoolConfig. */
export interface ConnectionsConfig {
  readonly name: string;
  readonly size: number;
  readonly connectMs: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly idleInTransactionTimeoutMs: number;
}

/** A connection in use. */
export interface Connection {
  readonly client: pg.PoolClient;
  /** False when a statement would not reach the server, or may not be sent to it any more. */
  isUsable(): boolean;
  /** `broken`: it is closed rather than reused. */
  release(broken: boolean): void;
}

/** A server that may be asked for connections. */
export interface Server {
  /** Throws DatabaseError `unavailable`. */
  connect(): Promise<Connection>;
}

/** Milliseconds beyond the server's statement timeout after which a connection without a reply is given up. */
const SILENCE_MS = 20_000;

/** A socket of its own, because it must be possible to end a connection without the server's goodbye. */
class Client extends pg.Client {
  readonly #socket: Socket;
  #isLost = false;

  constructor(config: pg.ClientConfig) {
    const socket = new Socket();
    super({ ...config, stream: () => socket });
    this.#socket = socket;
    // The server's farewell may come in the same packet as what completes the connection, before anybody listens. The
    // next statement meets the broken connection in any case.
    this.on('error', () => {
      this.#isLost = true;
    });
  }

  isLost(): boolean {
    return this.#isLost || !this.#socket.writable;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** The connections to one server, and what it takes to end all of them at once. */
export class Site implements Server {
  readonly #pool: pg.Pool;
  readonly #clients = new Set<Client>();
  readonly #mayUse: () => boolean;
  #ended: Promise<void> | undefined;

  /** `mayUse`: whether a statement may still be sent. Every new connection is checked to lead to `home`, if there is one. */
  constructor(
    deps: { readonly logger: Logger },
    target: ConnectionTarget,
    config: ConnectionsConfig,
    mayUse: () => boolean = () => true,
    home?: Home,
  ) {
    this.#mayUse = mayUse;
    this.#pool = new pg.Pool({
      Client: clientClass(target, config, this.#clients),
      // One more than calls are let in, for the knock at the gate: pg.Pool's own queue is never used.
      max: config.size + 1,
      connectionTimeoutMillis: config.connectMs,
      idleTimeoutMillis: 30_000,
      ...(home === undefined
        ? {}
        : { onConnect: (client: pg.ClientBase) => assertHome(client, home, config.connectMs) }),
    });
    // An idle connection that dies is no news to anybody: the next call opens another.
    this.#pool.on('error', error => deps.logger.debug({ pool: config.name, err: error }, 'idle connection lost'));
  }

  async connect(): Promise<Connection> {
    if (this.#ended !== undefined || !this.#mayUse()) throw superseded();
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw connectFailure(error);
    }
    const own = client as unknown as Client;
    return {
      client,
      isUsable: () => !own.isLost() && this.#mayUse(),
      release: broken => client.release(broken),
    };
  }

  /** Ends when connections in use have been released. Idempotent. */
  close(): Promise<void> {
    this.#ended ??= this.#pool.end();
    return this.#ended;
  }

  /** Ends everything now; statements in flight fail, and no cancel request is sent for them. */
  destroy(): void {
    for (const client of this.#clients) client.destroy();
    this.close().catch(() => {});
  }
}

/** What is said of work that a server may not be given any more. */
export function superseded(): DatabaseError {
  return new DatabaseError('unavailable', 'the primary is being replaced', { isRefusal: true });
}

/** A class, because pg.Pool makes its clients itself and gives all of them the same settings. */
function clientClass(
  target: ConnectionTarget,
  config: ConnectionsConfig,
  clients: Set<Client>,
): typeof pg.Client & (new () => pg.ClientBase) {
  class SiteClient extends Client {
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
      clients.add(this);
      this.on('end', () => clients.delete(this));
    }
  }
  return SiteClient as unknown as typeof pg.Client & (new () => pg.ClientBase);
}
