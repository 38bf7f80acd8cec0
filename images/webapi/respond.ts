import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { wireErrorOf } from './errors.ts';
import type { Exchange, ResponseHeaders } from './exchange.ts';

/** Writes answers: the headers that every one carries (http-api.md §3.1) and the shape of errors (§3.2). */
export interface Responder {
  /** The headers of an answer that is about to start, for those who send them another way. */
  headersOf(exchange: Exchange, extra?: Readonly<ResponseHeaders>): ResponseHeaders;
  /** Starts an answer; its body is the caller's. */
  start(exchange: Exchange, status: number, headers: ResponseHeaders): void;
  /** A whole answer without a body. */
  empty(exchange: Exchange, status: number, extra?: Readonly<ResponseHeaders>): void;
  /** The error's JSON answer, or the end of the connection when an answer has already begun. */
  error(exchange: Exchange, error: unknown): void;
}

export function createResponder(
  deps: { readonly clock: Clock },
  config: { readonly serverHeader: string; readonly serverName: string },
): Responder {
  function headersOf(exchange: Exchange, extra?: Readonly<ResponseHeaders>): ResponseHeaders {
    return {
      server: config.serverHeader,
      'x-request-id': exchange.requestId,
      'x-response-time': Math.round(deps.clock.monotonic() - exchange.startedAtMs),
      'x-server-name': config.serverName,
      ...exchange.headers,
      ...extra,
    };
  }

  function start(exchange: Exchange, status: number, headers: ResponseHeaders): void {
    exchange.sentHeaders = headers;
    exchange.answeredAtMs = deps.clock.monotonic();
    exchange.response.writeHead(status, headers);
  }

  function empty(exchange: Exchange, status: number, extra?: Readonly<ResponseHeaders>): void {
    start(exchange, status, headersOf(exchange, extra));
    exchange.response.end();
  }

  function error(exchange: Exchange, thrown: unknown): void {
    const { response } = exchange;
    exchange.error = thrown;
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const { status, code, message, retryAfterS } = wireErrorOf(thrown);
    const body = Buffer.from(JSON.stringify({ code, message }));
    const headers: ResponseHeaders = {
      'content-type': 'application/json',
      'content-length': body.length,
      'content-md5': createHash('md5').update(body).digest('base64'),
    };
    if (retryAfterS !== undefined) headers['retry-after'] = retryAfterS;
    // A body that stood still may go on at any time: what follows on this connection is not the next request.
    if (status === 408) response.shouldKeepAlive = false;
    start(exchange, status, headersOf(exchange, headers));
    exchange.bytesOut = exchange.request.method === 'HEAD' ? 0 : body.length;
    response.end(body);
  }

  return { headersOf, start, empty, error };
}
