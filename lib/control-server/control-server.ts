import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import express, { type Request, type Response, type Router } from 'express';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { answerErrors } from './answer-errors.ts';

export interface ControlServerDeps {
  readonly logger: Logger;
  readonly registry: Registry;
  /** What `/readyz` says: true when the program can serve. */
  readonly isReady: () => boolean;
  /** What `/livez` says: false when only a restart helps. Default: always true. */
  readonly isLive?: () => boolean;
  /** Takes a connection that asks to be upgraded, and from then on closes it; false: it is not wanted. Default: none is. */
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
  /** What else this program serves to other programs, by path prefix. */
  readonly routers?: ReadonlyArray<readonly [prefix: string, router: Router]>;
}

export interface ControlServerConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Milliseconds running requests get at close. */
  readonly drainMs: number;
}

export interface ControlServer {
  listen(): Promise<{ readonly url: string }>;
  close(): Promise<void>;
}

/**
 * A program's control port, never behind a load balancer (http-api.md §13.2): `/livez`, `/readyz`, `/metrics`, and the
 * routers of the program. A router's MantaError becomes `{code, message}`.
 */
export function createControlServer(deps: ControlServerDeps, config: ControlServerConfig): ControlServer {
  const app = express();
  app.disable('x-powered-by');
  app.get('/livez', (_request, response) => {
    const live = deps.isLive?.() ?? true;
    response
      .status(live ? 200 : 503)
      .type('text/plain')
      .send(live ? 'ok\n' : 'stuck\n');
  });
  app.get('/readyz', (_request, response) => {
    const ready = deps.isReady();
    response
      .status(ready ? 200 : 503)
      .type('text/plain')
      .send(ready ? 'ok\n' : 'not ready\n');
  });
  app.get('/metrics', async (_request, response) => {
    response.type(deps.registry.contentType).send(await deps.registry.metrics());
  });
  for (const [prefix, router] of deps.routers ?? []) app.use(prefix, router);
  app.use((request: Request, response: Response) => {
    response
      .status(404)
      .json({ code: 'ResourceNotFound', message: `${request.method} ${request.path} does not exist` });
  });
  app.use(answerErrors(deps));
  const server = createServer(app);
  const { upgrade } = deps;
  if (upgrade !== undefined) {
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', error => deps.logger.debug({ err: error }, 'upgraded connection failed'));
      if (!upgrade(request, socket, head)) socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
    });
  }

  return {
    async listen() {
      server.listen(config.port, config.host);
      await once(server, 'listening');
      return { url: `http://${config.host}:${(server.address() as AddressInfo).port}` };
    },
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      const cut = setTimeout(() => server.closeAllConnections(), config.drainMs);
      await closed;
      clearTimeout(cut);
    },
  };
}
