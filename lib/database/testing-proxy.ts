import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ConnectionTarget } from './pool.ts';

/** A wire to PostgreSQL that a test can cut or hold still. */
export interface TestProxy {
  /** The same database through the wire. */
  readonly target: ConnectionTarget;
  /** Breaks all connections and refuses new ones. */
  cut(): Promise<void>;
  restore(): Promise<void>;
  /** Holds back everything the server answers. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

/** Listens on a free port of the loopback interface. */
export async function createTestProxy(target: ConnectionTarget): Promise<TestProxy> {
  const { host = 'localhost', port = 5432 } = target();
  const pairs = new Set<readonly [client: Socket, server: Socket]>();
  let held = false;
  let listening: Server | undefined;
  let ownPort = 0;

  function accept(client: Socket): void {
    const server = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    const pair = [client, server] as const;
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.pipe(server).pipe(client);
    if (held) stop(pair);
  }

  function stop([client, server]: readonly [Socket, Socket]): void {
    server.unpipe(client);
    server.pause();
  }

  async function restore(): Promise<void> {
    const created = createServer(accept);
    listening = created;
    await new Promise<void>(resolve => created.listen(ownPort, '127.0.0.1', resolve));
    const address = created.address();
    if (address !== null && typeof address === 'object') ownPort = address.port;
  }

  async function cut(): Promise<void> {
    const closed = new Promise<void>(resolve =>
      listening === undefined ? resolve() : listening.close(() => resolve()),
    );
    listening = undefined;
    for (const [client] of pairs) client.destroy();
    await closed;
  }

  await restore();
  return {
    target: () => ({ ...target(), host: '127.0.0.1', port: ownPort }),
    cut,
    restore,
    hold: () => {
      held = true;
      for (const pair of pairs) stop(pair);
    },
    release: () => {
      held = false;
      for (const [client, server] of pairs) server.pipe(client);
    },
    close: cut,
  };
}
