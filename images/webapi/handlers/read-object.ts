import { pipeline } from 'node:stream/promises';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ObjectEntry } from '../../../lib/metadata/types.ts';
import { isAcceptable } from '../accept.ts';
import { evaluateConditions } from '../conditions.ts';
import { replayedHeaders } from '../cors.ts';
import { currentRecordOf, type EntryCall, httpDate, notFound, type Services } from '../entry-call.ts';
import type { Exchange, ResponseHeaders } from '../exchange.ts';
import { ifRangeHolds, parseRange } from '../range.ts';
import type { Download, DownloadRequest } from '../transfer/types.ts';

/** How often a read starts over because the object was overwritten while its bytes were being looked for. */
const READ_ATTEMPTS = 3;

/**
 * GET and HEAD of an object: conditions, negotiation and range are decided from the entry alone; HEAD and empty objects
 * end there, everything else is streamed from the first copy that answers. http-api.md §6.3 and §6.4.
 */
export async function readObject(call: EntryCall, object: ObjectEntry, services: Services): Promise<void> {
  let current = object;
  for (let attempt = 1; ; attempt += 1) {
    const replacement = await readOnce(call, current, services, attempt < READ_ATTEMPTS);
    if (replacement === undefined) return;
    current = replacement;
    Object.assign(call.exchange.headers, recordHeaders(current));
  }
}

/** `Etag` and `Last-Modified` of an object. */
export function recordHeaders(object: ObjectEntry): ResponseHeaders {
  return { etag: object.etag, 'last-modified': httpDate(object.mtimeMs) };
}

/** Answers with `object`, or returns the object that has taken its place. */
async function readOnce(
  call: EntryCall,
  object: ObjectEntry,
  services: Services,
  mayStartOver: boolean,
): Promise<ObjectEntry | undefined> {
  const { exchange } = call;
  const { request } = exchange;
  const { responder } = services;
  exchange.objectId = object.objectId;
  const condition = evaluateConditions(request.headers, currentRecordOf(object, false), true);
  if (condition.kind === 'fails') {
    if (condition.status === 412) throw new MantaError('PreconditionFailed', condition.message);
    responder.empty(exchange, 304, replayedHeaders(object.headers, request.method ?? 'GET', request.headers.origin));
    return undefined;
  }
  if (!isAcceptable(request.headers.accept, object.contentType)) {
    throw new MantaError('NotAcceptable', `${call.target.path} accepts ${object.contentType}`);
  }
  const headers = objectHeaders(call, object);
  if (request.method === 'HEAD' || object.sizeBytes === 0) {
    headers['content-md5'] = object.md5;
    headers['content-length'] = object.sizeBytes;
    responder.empty(exchange, 200, headers);
    return undefined;
  }
  const range = rangeOf(call, object);
  if (range === undefined) {
    headers['content-md5'] = object.md5;
    headers['accept-ranges'] = 'bytes';
  } else {
    headers['content-range'] = `bytes ${range[0]}-${range[1]}/${object.sizeBytes}`;
  }
  return transferBytes(call, object, range, headers, services, mayStartOver);
}

function objectHeaders(call: EntryCall, object: ObjectEntry): ResponseHeaders {
  const { method = 'GET', headers } = call.exchange.request;
  const answer: ResponseHeaders = {
    ...replayedHeaders(object.headers, method, headers.origin),
    'content-type': object.contentType,
    'durability-level': object.copies.length,
  };
  if (object.contentDisposition !== undefined) answer['content-disposition'] = object.contentDisposition;
  return answer;
}

/** The bytes asked for; undefined for all of them. */
function rangeOf(call: EntryCall, object: ObjectEntry): readonly [first: number, last: number] | undefined {
  const { headers } = call.exchange.request;
  if (headers.range === undefined) return undefined;
  const ifRange = headers['if-range'];
  if (!ifRangeHolds(typeof ifRange === 'string' ? ifRange : undefined, object.etag, object.mtimeMs)) return undefined;
  const range = parseRange(headers.range, object.sizeBytes);
  switch (range.kind) {
    case 'whole':
      return undefined;
    case 'part':
      return [range.first, range.last];
    case 'several':
      throw new MantaError('NotImplemented', 'multi-range requests not supported');
    case 'unsatisfiable':
      call.exchange.headers['content-range'] = `bytes */${object.sizeBytes}`;
      throw new MantaError(
        'RequestedRangeNotSatisfiable',
        `${headers.range} is not satisfiable for ${object.sizeBytes} bytes`,
      );
  }
}

async function transferBytes(
  call: EntryCall,
  object: ObjectEntry,
  range: readonly [first: number, last: number] | undefined,
  headers: ResponseHeaders,
  services: Services,
  mayStartOver: boolean,
): Promise<ObjectEntry | undefined> {
  const { metadata, transfers, responder } = services;
  const { exchange } = call;
  const status = range === undefined ? 200 : 206;
  const answerHeaders = responder.headersOf(exchange, headers);
  const request: DownloadRequest = {
    object,
    status,
    headers: textHeaders(answerHeaders),
    requestId: exchange.requestId,
    ...(range === undefined ? {} : { range }),
  };
  if (await handOverBytes(exchange, request, services)) return undefined;
  let replacement: ObjectEntry | undefined;
  const reread = async () => {
    const entry = await metadata.get(call.place, { signal: exchange.signal });
    if (entry?.kind !== 'object') return undefined;
    // The headers of this answer belong to this object; another one's bytes must never follow them.
    if (entry.objectId === object.objectId || !mayStartOver) return entry;
    replacement = entry;
    return undefined;
  };
  let download: Download;
  try {
    download = await transfers.openDownload(request, reread, exchange.signal);
  } catch (error) {
    if (replacement !== undefined) return replacement;
    if (error instanceof MantaError && error.code === 'ResourceNotFound') throw notFound(call);
    throw error;
  }
  exchange.storageNodes = [download.storageId];
  exchange.bytesOut = lengthOf(request);
  // Not the headers as the node sent them back: HTTP clients disagree on how to read bytes beyond ASCII in them.
  responder.start(exchange, status, { ...answerHeaders, 'content-length': exchange.bytesOut });
  exchange.bodyStart = exchange.response.socket?.bytesWritten ?? 0;
  download.body.once('error', error => {
    // Told apart from a client that went away, whose end destroys the body as well.
    if (!exchange.signal.aborted) exchange.error = error;
  });
  await pipeline(download.body, exchange.response);
  return undefined;
}

/** True when a load balancer that can fetch the bytes itself has been told where: metadata.md §14.7. */
async function handOverBytes(
  exchange: Exchange,
  request: DownloadRequest,
  { transfers, sources, config, clock }: Services,
): Promise<boolean> {
  const { headers, socket } = exchange.request;
  if (headers['x-manta-accel'] !== '1' || !sources.isTrusted(socket.remoteAddress)) return false;
  const skipped = new Set(
    String(headers['x-manta-skip-node'] ?? '')
      .split(' ')
      .filter(host => host !== ''),
  );
  const copy = await transfers.handOver(request, skipped, exchange.signal);
  if (copy === undefined) return false;
  exchange.storageNodes = [copy.storageId];
  exchange.bytesOut = lengthOf(request);
  exchange.isDelegated = true;
  // None of the headers that nginx would keep for the answer it fetches: the storage node sends all of them.
  exchange.response.writeHead(request.status, {
    'content-length': 0,
    'x-request-id': exchange.requestId,
    'x-server-name': config.serverName,
    'x-accel-redirect': '@storage',
    'x-manta-node': copy.host,
    'x-manta-object': copy.path,
    'x-manta-grant': copy.grant,
  });
  exchange.sentHeaders = request.headers;
  exchange.answeredAtMs = clock.monotonic();
  exchange.response.end();
  return true;
}

function lengthOf({ object, range }: DownloadRequest): number {
  return range === undefined ? object.sizeBytes : range[1] - range[0] + 1;
}

function textHeaders(headers: ResponseHeaders): Record<string, string> {
  const text: Record<string, string> = {};
  for (const name in headers) text[name] = String(headers[name]);
  return text;
}
