import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Backend } from '../config.ts';

/** An HTTP server of Node's with webapi's timers, in its place. */
export interface Upstream {
  readonly backend: Backend;
  readonly server: Server;
  /** Method and target of what has come, pings apart. */
  readonly seen: string[];
  /** Ends it at once, its connections with it. */
  close(): Promise<void>;
}

/** Answers pings, and everything else with `handle`; by default 200 and its own port. */
export async function startUpstream(handle?: RequestListener): Promise<Upstream> {
  const seen: string[] = [];
  const server = createServer(
    { keepAliveTimeout: 120_000, requestTimeout: 0, maxHeaderSize: 131_072 },
    (request, response) => {
      if (request.url === '/ping') {
        response.end();
        return;
      }
      seen.push(`${request.method} ${request.url}`);
      if (handle !== undefined) handle(request, response);
      else request.resume().on('end', () => response.end(String(request.socket.localPort)));
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    seen,
    backend: { address: '127.0.0.1', port: (server.address() as AddressInfo).port },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      if (server.listening) await closed;
    },
  };
}
