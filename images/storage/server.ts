import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { codeOf, MantaError } from '../../lib/errors/manta-error.ts';
import type { TokenVerifier } from '../../lib/region-token/region-token.ts';
import { deliverObject, describeObject } from './deliver-object.ts';
import type { StorageMetrics } from './metrics.ts';
import { beginReception } from './receive-object.ts';
import type { Space } from './space.ts';
import type { Volume } from './volume.ts';

export interface StorageServerDeps {
  readonly volume: Volume;
  readonly space: Space;
  readonly verifier: TokenVerifier;
  readonly logger: Logger;
  readonly metrics: StorageMetrics;
}

/** The statuses of metadata.md §14.1. */
const STATUS: Readonly<Record<string, number>> = {
  BadRequest: 400,
  InvalidToken: 401,
  TokenMismatch: 403,
  ObjectNotFound: 404,
  SizeMismatch: 409,
  ContentMD5Mismatch: 469,
  InternalError: 500,
  Unavailable: 503,
  NotEnoughSpace: 507,
};

/** Headers carry read grants, which carry an object's headers: more than clients may send. */
const MAX_HEADER_BYTES = 256 * 1024;

/** The node's HTTP server (metadata.md §14.1). Every request needs a token; the caller starts and stops it. */
export function createStorageServer(deps: StorageServerDeps, config: { readonly uploadIdleMs: number }): Server {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: 0,
    keepAliveTimeout: 120_000,
    noDelay: true,
  });
  const onRequest = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
    const started = performance.now();
    response.once('close', () => {
      // After the close of the server, which ends idle connections only, nobody else would end this one.
      if (!server.listening) request.socket.end();
    });
    handle(deps, config, { request, response, expectsContinue })
      .catch(error => fail(deps, request, response, error))
      .finally(() => {
        const operation = OPERATIONS[request.method ?? ''] ?? 'other';
        deps.metrics.requests.observe(
          { operation, status: String(response.statusCode) },
          (performance.now() - started) / 1000,
        );
      });
  };
  server.on('request', (request, response) => onRequest(request, response, false));
  server.on('checkContinue', (request, response) => onRequest(request, response, true));
  return server;
}

const OPERATIONS: Readonly<Record<string, 'put' | 'get' | 'head'>> = { PUT: 'put', GET: 'get', HEAD: 'head' };
const OBJECT_PATH = /^\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly expectsContinue: boolean;
}

async function handle(deps: StorageServerDeps, config: { readonly uploadIdleMs: number }, call: Call): Promise<void> {
  const { request, response } = call;
  const path = (request.url ?? '').split('?')[0] ?? '';
  const operation = OPERATIONS[request.method ?? ''];
  const [, creator, objectId] = OBJECT_PATH.exec(path) ?? [];
  if (operation === undefined || creator === undefined || objectId === undefined) {
    throw new MantaError('ObjectNotFound', `${request.method} ${path} is not served here`);
  }
  const claims = deps.verifier.verify(request.headers.authorization, { operation, path });
  const object = { creator, objectId };
  if (operation === 'put') return receive(deps, config, call, object);
  if (operation === 'head') {
    const { bytes, md5 } = await describeObject(deps.volume, object);
    response.writeHead(200, { 'content-length': bytes, 'content-md5': md5 }).end();
    return;
  }
  if (claims.delivery === undefined) throw new MantaError('TokenMismatch', 'the token grants no delivery');
  await deliverObject(deps.volume, object, claims.delivery, response);
}

async function receive(
  deps: StorageServerDeps,
  config: { readonly uploadIdleMs: number },
  { request, response, expectsContinue }: Call,
  object: { readonly creator: string; readonly objectId: string },
): Promise<void> {
  const { volume, space, metrics } = deps;
  const why = volume.outOfService();
  if (why !== undefined) throw new MantaError('Unavailable', `the volume is out of service: ${why}`);
  const declared = byteCount(request.headers['content-length']);
  const reserved = byteCount(request.headers['x-manta-reserve']);
  const md5 = request.headers['content-md5'];
  const claim = await space.claim(declared ?? reserved ?? 0);
  metrics.writesInflight.inc();
  try {
    const reception = await beginReception(volume, {
      ...object,
      ...(declared === undefined ? {} : { bytes: declared }),
      ...(md5 === undefined ? {} : { md5: String(md5) }),
    });
    request.setTimeout(config.uploadIdleMs, () => request.destroy());
    if (expectsContinue) response.writeContinue();
    const stored = await reception.store(request, claim);
    metrics.bytesWritten.inc(stored.bytes);
    respond(response, 201, { objectId: object.objectId, ...stored });
  } finally {
    metrics.writesInflight.dec();
    claim.release();
  }
}

function byteCount(header: string | readonly string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const bytes = Number(header);
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new MantaError('BadRequest', 'a length header is malformed');
  return bytes;
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

function fail(deps: StorageServerDeps, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const code = error instanceof MantaError && STATUS[error.code] !== undefined ? error.code : 'InternalError';
  // A caller that goes away in the middle is no news; its half of the story is in its own log.
  if (code === 'InternalError' && codeOf((error as Error).cause ?? error) !== 'ECONNRESET' && !request.destroyed) {
    deps.logger.error({ err: error, method: request.method, url: request.url }, 'storage request failed');
  }
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const message =
    error instanceof MantaError && code !== 'InternalError' ? error.message : 'an unexpected error occurred';
  // What is left of the body is not worth reading.
  if (!request.complete) response.setHeader('connection', 'close');
  respond(response, STATUS[code] ?? 500, { code, message });
}
