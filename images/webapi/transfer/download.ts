import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ObjectEntry } from '../../../lib/metadata/types.ts';
import type { TokenSigner } from '../../../lib/region-token/region-token.ts';
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

async function ask(
  deps: DownloadDeps,
  nodeNo: number,
  request: DownloadRequest,
  signal: AbortSignal,
): Promise<Download | 'missing'> {
  const node = await deps.view.find(nodeNo, signal);
  if (node === undefined) throw new MantaError('Unavailable', `storage node ${nodeNo} is unknown`);
  const path = `/${request.object.creator}/${request.object.objectId}`;
  const token = deps.signer.sign({
    audience: `storage/${node.storageId}`,
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
  const response = await deps.dispatcher.request({
    origin: node.baseUrl,
    path,
    method: 'GET',
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  if (response.statusCode === request.status) {
    return { storageId: node.storageId, headers: forwarded(response.headers), body: response.body };
  }
  const text = await response.body.text();
  if (response.statusCode === 404) {
    deps.logger.warn({ nodeNo, objectId: request.object.objectId, requestId: request.requestId }, 'copy missing');
    return 'missing';
  }
  throw new MantaError('Unavailable', `${node.storageId} answered ${response.statusCode} ${text.slice(0, 200)}`);
}

function forwarded(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_HEADERS.has(name)) kept[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return kept;
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
  }
  return shuffled;
}
