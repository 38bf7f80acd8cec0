import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { MantaError } from '../errors/manta-error.ts';

export interface ControlServerDeps {
  readonly logger: Logger;
  readonly registry: Registry;
  /** What `/readyz` says: true when the program can serve. */
  readonly isReady: () => boolean;
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

/** Statuses of errors that routers throw; any other code is 500 and its message stays inside. */
const STATUS: Readonly<Record<string, number>> = {
  BadRequest: 400,
  InvalidParameter: 400,
  InvalidToken: 401,
  TokenMismatch: 403,
  ResourceNotFound: 404,
  EntityAlreadyExists: 409,
  IncarnationMismatch: 409,
  NodeRetired: 403,
  ServiceUnavailable: 503,
};

/**
 * A program's control port, never behind a load balancer (http-api.md §13.2): `/livez`, `/readyz`, `/metrics`, and the
 * routers of the program. A router's MantaError becomes `{code, message}`.
 */
export function createControlServer(deps: ControlServerDeps, config: ControlServerConfig): ControlServer {
  const app = express();
  app.disable('x-powered-by');
  app.get('/livez', (_request, response) => {
    response.type('text/plain').send('ok\n');
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
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    const { status, body } = describeError(error);
    if (status === 500)
      deps.logger.error({ err: error, method: request.method, path: request.path }, 'control request failed');
    response.status(status).json(body);
  });
  const server = createServer(app);

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

function describeError(error: unknown): { status: number; body: { code: string; message: string } } {
  const status = error instanceof MantaError ? STATUS[error.code] : undefined;
  if (error instanceof MantaError && status !== undefined) {
    return { status, body: { code: error.code, message: error.message } };
  }
  // Express and its body reader mark what the caller did wrong with a status.
  if (error instanceof Error && 'status' in error && isCallersFault(error.status)) {
    return { status: error.status, body: { code: 'BadRequest', message: error.message } };
  }
  return { status: 500, body: { code: 'InternalError', message: 'an unexpected error occurred' } };
}

function isCallersFault(status: unknown): status is number {
  return typeof status === 'number' && status >= 400 && status < 500;
}
