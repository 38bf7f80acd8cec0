import { codeOf } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { CLIENT_WENT_AWAY, wireErrorOf } from './errors.ts';
import type { Exchange, ResponseHeaders } from './exchange.ts';
import type { SourceAddresses } from './source-address.ts';

export interface RecordDeps {
  readonly clock: Clock;
  readonly sources: SourceAddresses;
}

/** Status as the record tells it: 499 when the client went away, whatever had been sent by then. */
export function recordedStatus({ response, error }: Exchange): number {
  const isOurs = error !== undefined && codeOf(error) !== 'UploadAbandoned';
  return response.writableFinished || isOurs ? response.statusCode : 499;
}

/**
 * The request record, written once the answer has ended: access log, audit log, and what metering reads. http-api.md
 * §15.3. The envelope (time, level, host) is the logger's. `seq` counts the records of this process.
 */
export function requestRecord(
  exchange: Exchange,
  seq: number,
  { clock, sources }: RecordDeps,
): Record<string, unknown> {
  const { request, response, startedAtMs, sentHeaders = {} } = exchange;
  const now = clock.monotonic();
  const { socket, headers } = request;
  const forwarded = headers['x-forwarded-for'];
  return {
    audit: true,
    schema: 'request/2',
    req_id: exchange.requestId,
    seq,
    operation: exchange.endpoint?.operation,
    route: exchange.endpoint?.operation,
    billable_operation: billableOperation(exchange),
    req: {
      method: request.method,
      url: redactUrl(request.url ?? ''),
      httpVersion: request.httpVersion,
      headers: redactHeaders(headers),
      owner: exchange.owner?.uuid,
      caller: callerOf(exchange),
    },
    authz: exchange.decision === undefined ? undefined : { via: exchange.decision.via },
    res: { statusCode: recordedStatus(exchange), headers: sentHeaders },
    reqHeaderLength: lengthOf(headers),
    resHeaderLength: lengthOf(sentHeaders),
    bytesIn: String(bytesInOf(exchange)),
    bytesOut: String(bytesOutOf(exchange)),
    delegated: exchange.isDelegated,
    latency: Math.round(now - startedAtMs),
    latencyToFirstByte:
      exchange.answeredAtMs === undefined ? undefined : Math.round(exchange.answeredAtMs - startedAtMs),
    remoteAddress: socket.remoteAddress,
    remotePort: socket.remotePort,
    logicalRemoteAddress: sources.sourceOf(socket.remoteAddress, typeof forwarded === 'string' ? forwarded : undefined),
    secure: headers['x-forwarded-proto'] === 'https' && sources.isTrusted(socket.remoteAddress),
    objectId: exchange.objectId,
    storageNodes: exchange.storageNodes,
    err: errorOf(exchange, response.writableFinished),
  };
}

function errorOf({ error }: Exchange, isFinished: boolean): unknown {
  if (error === undefined) {
    return isFinished ? undefined : { code: 'UploadAbandoned', message: CLIENT_WENT_AWAY };
  }
  const { code, message } = wireErrorOf(error);
  if (code !== 'InternalError') return { code, message };
  return { code, message, cause: error instanceof Error ? { code: codeOf(error), stack: error.stack } : String(error) };
}

/** What a request is billed as: ops.md §5.3.3. */
function billableOperation({ endpoint, isListing, request }: Exchange): string | undefined {
  if (endpoint === undefined || endpoint.kind === 'ping') return undefined;
  if (request.method === 'GET' && isListing) return 'LIST';
  return request.method;
}

function callerOf({ caller }: Exchange): unknown {
  if (caller?.kind !== 'account') return undefined;
  const { login, uuid, groups } = caller.account;
  return { login, uuid, groups, user: null };
}

/** Credentials never reach the log: of a signature only who made it stays. */
function redactHeaders(headers: Exchange['request']['headers']): Record<string, unknown> {
  const { authorization } = headers;
  if (authorization === undefined) return headers;
  const [scheme = ''] = authorization.split(' ', 1);
  const keyId = /keyId="([^"]*)"/.exec(authorization)?.[1];
  return { ...headers, authorization: keyId === undefined ? `${scheme} …` : `${scheme} keyId="${keyId}"` };
}

function redactUrl(url: string): string {
  return url.includes('signature') ? url.replace(/([?&]signature=)[^&]*/g, '$1…') : url;
}

function lengthOf(headers: Exchange['request']['headers'] | ResponseHeaders): number {
  let bytes = 0;
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) bytes += name.length + String(value).length;
  }
  return bytes;
}

function bytesInOf({ request, bytesIn }: Exchange): number {
  if (bytesIn !== undefined) return bytesIn;
  const declared = Number(request.headers['content-length'] ?? 0);
  return request.complete ? declared : 0;
}

function bytesOutOf({ response, bytesOut = 0, bodyStart }: Exchange): number {
  if (response.writableFinished || bodyStart === undefined) return bytesOut;
  const written = (response.socket?.bytesWritten ?? bodyStart) - bodyStart;
  return Math.max(0, Math.min(bytesOut, written));
}
