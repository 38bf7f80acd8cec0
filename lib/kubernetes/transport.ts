import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';
import { codeOf } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { ApiError, apiErrorOf } from './api-error.ts';
import type { Credentials, Endpoint } from './credentials.ts';
import { withDeadline } from './deadline.ts';

/** The limits of the transport, with their defaults. Milliseconds and bytes. */
export interface TransportConfig {
  /** Connections for requests; further requests wait. Watches and other streams have connections of their own. */
  readonly connections: number;
  readonly maxStreams: number;
  readonly connectMs: number;
  /** From call to whole answer, repeats and their waiting included. */
  readonly requestMs: number;
  readonly maxResponseBytes: number;
  /** How often a request is repeated that the server answers with 429, or with 5xx and Retry-After. */
  readonly maxRepeats: number;
  /** How old credentials may be before they are read again; a 401 has them read at once. */
  readonly credentialsMs: number;
  readonly userAgent: string;
}

export const TRANSPORT_DEFAULTS: TransportConfig = {
  connections: 8,
  maxStreams: 64,
  connectMs: 5_000,
  requestMs: 30_000,
  maxResponseBytes: 64 * 1_048_576,
  maxRepeats: 10,
  credentialsMs: 10_000,
  userAgent: 'manta',
};

/** What was asked and answered, for metrics. */
export interface Exchange {
  readonly method: string;
  /** HTTP status, or `<error>` when there was no answer. */
  readonly code: string;
  readonly host: string;
  /** Until the head of the answer. */
  readonly durationMs: number;
}

export interface TransportDeps {
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Told of every exchange, repeats included. */
  readonly observe?: (exchange: Exchange) => void;
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** Default: `requestMs`. */
  readonly timeoutMs?: number;
  /** An open answer that is silent for so long is broken off. Default: never. */
  readonly silenceMs?: number;
  /** False: the first answer is the answer. Default: true. */
  readonly mayRepeat?: boolean;
}

/** An answer whose body is still to be read; whoever takes it reads or destroys the body. */
export interface OpenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

/** Requests over pooled connections, with credentials that are kept fresh. */
export interface Transport {
  /** The parsed body of a 2xx answer. Throws ApiError for any other and for none; the signal's reason on abort. */
  json(request: ApiRequest): Promise<unknown>;
  /** The head of the answer, whatever its status, within `timeoutMs`; the body streams for as long as it wants. */
  open(request: ApiRequest): Promise<OpenAnswer>;
  /** Ends all connections; running requests fail. */
  close(): Promise<void>;
}

interface Connected {
  readonly endpoint: Endpoint;
  readonly identity: string;
  readonly readAt: number;
  readonly host: string;
  readonly prefix: string;
  readonly requests: Pool;
  readonly streams: Pool;
}

/** Connects lazily, so it succeeds while the API server is away. */
export function createTransport(deps: TransportDeps, config: TransportConfig): Transport {
  const { clock } = deps;
  let connected: Connected | undefined;
  let reading: Promise<Connected> | undefined;

  async function connection(olderThan = clock.monotonic() - config.credentialsMs): Promise<Connected> {
    if (connected !== undefined && connected.readAt >= olderThan) return connected;
    reading ??= refresh().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  async function refresh(): Promise<Connected> {
    const readAt = clock.monotonic();
    const endpoint = await deps.credentials.read();
    const identity = createHash('sha256')
      .update(JSON.stringify([endpoint.server, endpoint.tls]))
      .digest('hex');
    if (connected?.identity === identity) {
      connected = { ...connected, endpoint, readAt };
      return connected;
    }
    const old = connected;
    connected = connect(endpoint, identity, readAt, config);
    // Running requests end on their own connections; watches are resumed on the new ones.
    void old?.requests.close();
    void old?.streams.destroy();
    return connected;
  }

  async function exchange(
    pool: 'requests' | 'streams',
    request: ApiRequest,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const first = await connection();
    const answer = await attempt(first, pool, request, signal);
    if (answer.statusCode !== 401) return answer;
    const second = await connection(clock.monotonic());
    if (JSON.stringify(second.endpoint) === JSON.stringify(first.endpoint)) return answer;
    await answer.body.dump();
    return attempt(second, pool, request, signal);
  }

  async function attempt(
    to: Connected,
    pool: 'requests' | 'streams',
    request: ApiRequest,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const started = clock.monotonic();
    const { method } = request;
    const report = (code: string) =>
      deps.observe?.({ method, code, host: to.host, durationMs: clock.monotonic() - started });
    try {
      const answer = await to[pool].request({
        method,
        path: to.prefix + request.path,
        headers: { 'user-agent': config.userAgent, ...to.endpoint.headers, ...request.headers },
        body: request.body ?? null,
        bodyTimeout: request.silenceMs ?? 0,
        signal,
      });
      report(String(answer.statusCode));
      return answer;
    } catch (error) {
      report('<error>');
      throw error;
    }
  }

  /** A kept connection that the server closes in the same moment says nothing about the request: a read may go again. */
  async function persistently(
    pool: 'requests' | 'streams',
    request: ApiRequest,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await exchange(pool, request, signal);
    } catch (error) {
      if (signal.aborted || request.method !== 'GET' || !isBroken(error)) throw error;
      return exchange(pool, request, signal);
    }
  }

  async function json(request: ApiRequest): Promise<unknown> {
    const until = clock.monotonic() + (request.timeoutMs ?? config.requestMs);
    return bounded(request, async signal => {
      for (let repeats = 0; ; repeats += 1) {
        const answer = await persistently('requests', request, signal);
        const text = await readText(answer.body, config.maxResponseBytes);
        if (answer.statusCode < 300) return text === '' ? undefined : JSON.parse(text);
        const error = apiErrorOf({
          status: answer.statusCode,
          text,
          request: describe(request),
          ...retryAfterOf(answer.headers),
        });
        const waitMs = repeatAfterMs(error);
        const isOver = repeats >= config.maxRepeats || request.mayRepeat === false;
        if (waitMs === undefined || isOver || clock.monotonic() + waitMs > until) throw error;
        await sleep(waitMs, undefined, { signal });
      }
    });
  }

  async function bounded<T>(request: ApiRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ms = request.timeoutMs ?? config.requestMs;
    const late = () => new ApiError('Deadline', `${describe(request)}: no answer within ${ms} ms`);
    try {
      return await withDeadline(request.signal, ms, late, work);
    } catch (error) {
      if (request.signal?.aborted || error instanceof ApiError) throw error;
      throw new ApiError('Unreachable', `${describe(request)}: ${messageOf(error)}`, { cause: error });
    }
  }

  async function open(request: ApiRequest): Promise<OpenAnswer> {
    // The deadline covers the head alone, so the stream's own signal is the caller's, passed on while it is read.
    const stream = new AbortController();
    const follow = () => stream.abort(request.signal?.reason);
    request.signal?.addEventListener('abort', follow, { once: true });
    const unfollow = () => request.signal?.removeEventListener('abort', follow);
    try {
      const answer = await bounded(request, async head => {
        const abort = () => stream.abort(head.reason);
        head.addEventListener('abort', abort, { once: true });
        try {
          return await persistently('streams', request, stream.signal);
        } finally {
          head.removeEventListener('abort', abort);
        }
      });
      // Whoever reads it sees its errors; whoever destroys it early need not listen for what undici makes of that.
      answer.body.on('error', () => {}).once('close', unfollow);
      return { status: answer.statusCode, headers: answer.headers, body: answer.body };
    } catch (error) {
      unfollow();
      throw error;
    }
  }

  return {
    json,
    open,
    async close() {
      await Promise.all([connected?.requests.destroy(), connected?.streams.destroy()]);
    },
  };
}

function connect(endpoint: Endpoint, identity: string, readAt: number, config: TransportConfig): Connected {
  const url = new URL(endpoint.server);
  const options: Pool.Options = {
    pipelining: 1,
    keepAliveTimeout: 60_000,
    headersTimeout: 0,
    bodyTimeout: 0,
    // A peer that has vanished is noticed by unanswered probes, seconds after this delay.
    connect: { ...endpoint.tls, timeout: config.connectMs, keepAlive: true, keepAliveInitialDelay: 15_000 },
  };
  return {
    endpoint,
    identity,
    readAt,
    host: url.host,
    prefix: url.pathname.replace(/\/$/, ''),
    requests: new Pool(url.origin, { ...options, connections: config.connections }),
    streams: new Pool(url.origin, { ...options, connections: config.maxStreams }),
  };
}

/** The text of a body. Throws ApiError `ResponseTooLarge`. */
export async function readText(body: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new ApiError('ResponseTooLarge', `an answer of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length).toString('utf8');
}

/** Milliseconds after which the server wants the request again; undefined when it has not said so. */
function repeatAfterMs(error: ApiError): number | undefined {
  const status = error.status ?? 0;
  if (status === 429) return (error.retryAfterS ?? 1) * 1_000;
  return status >= 500 && error.retryAfterS !== undefined ? error.retryAfterS * 1_000 : undefined;
}

/** Kubernetes writes seconds; the form with a date is not used by anything on the way to it. */
function retryAfterOf(headers: OpenAnswer['headers']): { retryAfterS?: number } {
  const seconds = Number.parseInt(String(headers['retry-after'] ?? ''), 10);
  return seconds >= 0 ? { retryAfterS: seconds } : {};
}

function isBroken(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED'].includes(codeOf(error) ?? '');
}

function describe({ method, path }: ApiRequest): string {
  return `${method} ${path.split('?')[0]}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || (codeOf(error) ?? error.name) : String(error);
}
