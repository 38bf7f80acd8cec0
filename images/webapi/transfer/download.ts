import { once } from 'node:events';
import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ObjectEntry } from '../../../lib/metadata/types.ts';
import type { TokenSigner } from '../../../lib/region-token/region-token.ts';
import type { TransferConfig } from './config.ts';
import type { TransferMetrics } from './metrics.ts';
import type { NodeView } from './node-view.ts';
import type { Download, DownloadRequest } from './types.ts';

export interface DownloadDeps {
  readonly view: NodeView;
  readonly signer: TokenSigner;
  readonly dispatcher: Dispatcher;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: TransferMetrics;
  readonly config: TransferConfig;
}

/** Headers that belong to one hop. */
const HOP_HEADERS = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);

/**
 * Asks the copies in random order (http-api.md §14.2). A node's 404 may mean that the entry was overwritten and its old
 * object collected since we read it: the entry is read once more, and if it names the same object the search goes on.
 */
export async function openDownload(
  deps: DownloadDeps,
  request: DownloadRequest,
  reread: () => Promise<ObjectEntry | undefined>,
  signal: AbortSignal,
): Promise<Download> {
  let rereadDone = false;
  for (const nodeNo of shuffle(request.object.copies, deps.random)) {
    signal.throwIfAborted();
    const answer = await ask(deps, nodeNo, request, signal).catch((error: unknown) => {
      deps.logger.warn({ err: error, nodeNo, requestId: request.requestId }, 'copy passed over');
      return 'failed' as const;
    });
    if (answer !== 'failed' && answer !== 'missing') return answer;
    deps.metrics.passedOver.inc();
    if (answer === 'missing') {
      const facts = { nodeNo, objectId: request.object.objectId, requestId: request.requestId };
      deps.logger.warn(facts, 'copy missing');
    }
    if (answer === 'missing' && !rereadDone) {
      rereadDone = true;
      const entry = await reread();
      if (entry === undefined) throw new MantaError('ResourceNotFound', 'the object was removed during the request');
      // Of another version the headers are other ones, too: the client has to ask again.
      if (entry.objectId !== request.object.objectId) break;
    }
  }
  throw new MantaError('ServiceUnavailable', 'manta is unable to serve this request', {
    cause: new Error(`no copy of ${request.object.objectId} could be read`),
  });
}

/** Resolves with a body whose first bytes are here: until then another copy can take over, later it is too late. */
async function ask(
  deps: DownloadDeps,
  nodeNo: number,
  request: DownloadRequest,
  signal: AbortSignal,
): Promise<Download | 'missing'> {
  const node = await deps.view.find(nodeNo, signal);
  if (node === undefined) throw new MantaError('Unavailable', `storage node ${nodeNo} is unknown`);
  const path = `/${request.object.creator}/${request.object.objectId}`;
  const exchange = new AbortController();
  const timer = setTimeout(
    () => exchange.abort(new MantaError('Unavailable', `${node.storageId} sent no first byte in time`)),
    deps.config.firstByteMs,
  );
  try {
    const response = await deps.dispatcher.request({
      origin: node.baseUrl,
      path,
      method: 'GET',
      headers: { authorization: `Bearer ${grantOf(deps, node.storageId, path, request)}` },
      signal: AbortSignal.any([signal, exchange.signal]),
    });
    return await judge(node.storageId, request, response);
  } catch (error) {
    exchange.abort();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** What a storage node answers this request with, signed. */
export function grantOf(
  { signer }: Pick<DownloadDeps, 'signer'>,
  storageId: string,
  path: string,
  request: DownloadRequest,
): string {
  return signer.sign({
    audience: `storage/${storageId}`,
    operation: 'get',
    path,
    requestId: request.requestId,
    delivery: {
      status: request.status,
      sizeBytes: request.object.sizeBytes,
      headers: request.headers,
      ...(request.range === undefined ? {} : { range: request.range }),
    },
  });
}

async function judge(
  storageId: string,
  request: DownloadRequest,
  { statusCode, headers, body }: Dispatcher.ResponseData,
): Promise<Download | 'missing'> {
  if (statusCode !== request.status) {
    const text = await body.text();
    if (statusCode === 404) return 'missing';
    throw new MantaError('Unavailable', `${storageId} answered ${statusCode} ${text.slice(0, 200)}`);
  }
  const [first, last] = request.range ?? [0, request.object.sizeBytes - 1];
  if (headers['content-length'] !== String(last - first + 1)) {
    throw new MantaError('Unavailable', `${storageId} answered with ${headers['content-length']} bytes`);
  }
  await once(body, 'readable');
  return { storageId, headers: forwarded(headers), body };
}

function forwarded(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_HEADERS.has(name)) kept[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return kept;
}

/** The same in an order of its own. */
export function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
  }
  return shuffled;
}
