import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccountView, Caller } from '../../lib/auth/types.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { Decision } from './auth/types.ts';
import type { Endpoint } from './endpoint.ts';
import type { Target } from './target.ts';

export type ResponseHeaders = Record<string, string | number>;

/** One request and its answer, with what the stages have found out so far and what the request record will tell. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The client's own label, or a fresh one. Only for people who read logs. */
  readonly requestId: string;
  /** Monotonic milliseconds. */
  readonly startedAtMs: number;
  /** True while the client waits for `100 Continue` before it sends its body. */
  awaitsContinue: boolean;
  /** Aborts when the connection is lost before the answer has ended. */
  readonly signal: AbortSignal;
  /** Headers that go with whatever answer follows, an error included. */
  readonly headers: ResponseHeaders;
  target?: Target;
  endpoint?: Endpoint;
  caller?: Caller;
  owner?: AccountView;
  decision?: Extract<Decision, { kind: 'allow' }>;
  /** What was thrown, for the record. */
  error?: unknown;
  /** Headers as sent, for the record. */
  sentHeaders?: ResponseHeaders;
  /** Monotonic milliseconds at the first byte of the answer. */
  answeredAtMs?: number;
  objectId?: string;
  storageNodes?: readonly string[];
  /** True when the target is a directory: a GET is then a LIST. */
  isListing?: boolean;
  /** Bytes of the body as stored, when there was one. */
  bytesIn?: number;
  /** Length of the answer's body. */
  bytesOut?: number;
  /** True when a load balancer has been handed the body. */
  isDelegated?: boolean;
  /** Bytes the socket had written when the answer's body began. */
  bodyStart?: number;
}

/** Starts the exchange of one request. */
export function beginExchange(
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
  clock: Clock,
): Exchange {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return {
    request,
    response,
    requestId: requestIdOf(request),
    startedAtMs: clock.monotonic(),
    awaitsContinue,
    signal: gone.signal,
    headers: {},
  };
}

function requestIdOf(request: IncomingMessage): string {
  const label = request.headers['request-id'] ?? request.headers['x-request-id'];
  return typeof label === 'string' && /^[\x21-\x7e]{1,128}$/.test(label) ? label : randomUUID();
}
