import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { answerBrokenRequest } from './broken-request.ts';
import type { WebapiConfig } from './config.ts';
import { CLIENT_WENT_AWAY, wireErrorOf } from './errors.ts';
import { beginExchange, type Exchange } from './exchange.ts';
import type { RequestMetrics } from './metrics.ts';
import type { Pipeline } from './pipeline.ts';
import { recordedStatus, requestRecord } from './request-record.ts';
import type { Responder } from './respond.ts';
import type { SourceAddresses } from './source-address.ts';

/** The listener of the public API. */
export interface PublicServer {
  /** Resolves with the URL once connections are accepted. Rejects when the port is taken. */
  listen(): Promise<string>;
  /** Stops accepting, lets running requests end within the drain time, then closes what is left. http-api.md §15.4. */
  close(): Promise<void>;
}

export interface PublicServerDeps {
  readonly pipeline: Pipeline;
  readonly responder: Responder;
  readonly metrics: RequestMetrics;
  readonly sources: SourceAddresses;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function createPublicServer(deps: PublicServerDeps, config: WebapiConfig): PublicServer {
  /** The answer in progress on each connection. */
  const answers = new WeakMap<Socket, ServerResponse>();
  const running = new Set<ServerResponse>();
  let isDraining = false;
  let seq = 0;

  const server = newHttpServer(config);

  function handle(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const exchange = beginExchange(request, response, awaitsContinue, deps.clock);
    const before = answers.get(request.socket);
    answers.set(request.socket, response);
    running.add(response);
    if (isDraining) response.shouldKeepAlive = false;
    deps.metrics.begin();
    response.once('finish', () => drainRest(exchange, config));
    response.once('close', () => ended(exchange));
    const start = () => void deps.pipeline(exchange).catch((error: unknown) => failed(exchange, error));
    // Requests that were sent together run one after the other: the next one may read what the last one wrote.
    if (before === undefined || before.closed || before.writableFinished) start();
    else before.once('close', start);
  }

  function failed(exchange: Exchange, error: unknown): void {
    // A client that went away explains every error after it.
    const isGone = exchange.signal.aborted && exchange.error === undefined;
    const thrown = isGone ? new MantaError('UploadAbandoned', CLIENT_WENT_AWAY, { cause: error }) : error;
    deps.responder.error(exchange, exchange.error ?? thrown);
  }

  function ended(exchange: Exchange): void {
    const { endpoint, startedAtMs, response } = exchange;
    running.delete(response);
    const record = requestRecord(exchange, seq + 1, deps);
    const seconds = (deps.clock.monotonic() - startedAtMs) / 1000;
    const operation = endpoint?.operation ?? 'none';
    deps.metrics.end(operation, recordedStatus(exchange), seconds, Number(record.bytesIn), Number(record.bytesOut));
    if (endpoint?.kind !== 'ping') {
      seq += 1;
      if (isUnexpected(exchange)) deps.logger.error(record, 'request');
      else deps.logger.info(record, 'request');
    }
    // Connections that have just become idle would keep a stopping server waiting.
    if (isDraining) setImmediate(() => server.closeIdleConnections());
  }

  server.on('request', (request, response) => handle(request, response, false));
  server.on('checkContinue', (request, response) => handle(request, response, true));
  server.on('checkExpectation', (request, response) => handle(request, response, false));
  server.on('clientError', (error: Error, socket: Socket) => {
    const answer = answers.get(socket);
    if (answer !== undefined && !answer.writableFinished && answer.req.complete) {
      // The bytes after a whole request are no part of it: its answer is still due, and the last one.
      answer.shouldKeepAlive = false;
      return;
    }
    const mayWrite = answer === undefined || answer.writableFinished || !answer.headersSent;
    answerBrokenRequest(error, socket, {
      mayWrite,
      serverHeader: config.serverHeader,
      headerBytes: config.limits.headerBytes,
    });
  });

  return {
    listen: async () => {
      const url = await listen(server, config.listen);
      // A connection that cannot be accepted, for want of file descriptors, is no reason to end.
      server.on('error', error => deps.logger.error({ err: error }, 'connection not accepted'));
      return url;
    },
    close: async () => {
      isDraining = true;
      for (const response of running) response.shouldKeepAlive = false;
      await closeWithin(server, config.timers.drain);
    },
  };
}

/** A server of Node's with every limit and timer of http-api.md §15.2 set. */
function newHttpServer({ timers, limits }: WebapiConfig): Server {
  const server = createServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: timers.headers,
    // The idle timer of bodies replaces it: a slow upload is no error as long as it moves.
    requestTimeout: 0,
    keepAliveTimeout: timers.keepAlive,
    connectionsCheckingInterval: Math.max(50, Math.min(5000, timers.headers / 4)),
    // The contract has no rule about Host.
    requireHostHeader: false,
  });
  // Node drops headers beyond a count without a word; their bytes are limited already.
  server.maxHeadersCount = 0;
  server.maxConnections = limits.connections;
  server.timeout = timers.stall;
  return server;
}

/** True for what only a defect explains. */
function isUnexpected({ error }: Exchange): boolean {
  return error !== undefined && wireErrorOf(error).status === 500;
}

/**
 * After an answer that came before the end of the body, the rest is read and thrown away, so that the connection stays
 * usable: http-api.md §2, end. A rest that stands still ends the connection.
 */
function drainRest({ request, response }: Exchange, { timers, transfer }: WebapiConfig): void {
  if (request.complete || request.destroyed || !response.shouldKeepAlive) return;
  const { socket } = request;
  socket.setTimeout(transfer.clientIdleMs);
  request.once('end', () => socket.setTimeout(timers.keepAlive));
  request.resume();
}

/** Resolves with the URL of a server once it accepts connections. */
function listen(server: Server, where: { readonly host: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where.port, where.host, () => {
      server.off('error', reject);
      const { address, port, family } = server.address() as AddressInfo;
      const host = where.host === '0.0.0.0' || where.host === '::' ? 'localhost' : address;
      resolve(`http://${family === 'IPv6' && host === address ? `[${host}]` : host}:${port}`);
    });
  });
}

/** Stops accepting, waits for running requests for at most `drainMs`, then closes every connection. */
async function closeWithin(server: Server, drainMs: number): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()));
  server.closeIdleConnections();
  const patience = new AbortController();
  await Promise.race([closed, sleep(drainMs, undefined, { signal: patience.signal }).catch(() => {})]);
  patience.abort();
  server.closeAllConnections();
  await closed;
}
