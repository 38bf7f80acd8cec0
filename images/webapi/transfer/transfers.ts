import { Agent as HttpAgent } from 'node:http';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { Agent as UndiciAgent } from 'undici';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import type { StorageNodes } from '../../../lib/metadata/types.ts';
import type { TokenSigner } from '../../../lib/region-token/region-token.ts';
import type { TransferConfig } from './config.ts';
import { type CopyUpload, openCopy } from './copy-upload.ts';
import { openDownload } from './download.ts';
import { handOver } from './hand-over.ts';
import { createTransferMetrics } from './metrics.ts';
import { createNodeView } from './node-view.ts';
import { type Candidate, place } from './placement.ts';
import type { Transfers, UploadRequest } from './types.ts';
import { createUpload } from './upload.ts';

export interface TransferDeps {
  readonly storageNodes: Pick<StorageNodes, 'list'>;
  readonly signer: TokenSigner;
  readonly clock: Clock;
  /** Returns [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly registry: Registry;
}

const MAX_ATTEMPTS = 3;
const MIB = 1_048_576;
/** What a client may send with an object, at most, a node sends back; and a little of its own. */
const MAX_HEADER_BYTES = 128 * 1024;
/** Milliseconds a view may be old when a placement failed on it and is tried once more. */
const FRESH_MS = 1_000;

/**
 * The storage tier for webapi's handlers: placement, uploads to all copies at once, downloads from any. `refresh` looks
 * at the registry of storage nodes now instead of at the next interval; it never rejects.
 */
export function createTransfers(deps: TransferDeps, config: TransferConfig): Transfers & { refresh(): Promise<void> } {
  const view = createNodeView(deps, config);
  const metrics = createTransferMetrics(deps.registry);
  const uploads = new HttpAgent({
    keepAlive: true,
    maxSockets: config.maxSocketsPerNode,
    maxFreeSockets: config.maxIdleSocketsPerNode,
    timeout: 60_000,
    // One chunk of a client's body, not many small pieces of it, may wait for each copy.
    ...({ highWaterMark: 256 * 1024 } as object),
  });
  const downloads = new UndiciAgent({
    connections: config.maxSocketsPerNode,
    keepAliveTimeout: 60_000,
    connect: { timeout: config.connectMs },
    headersTimeout: config.firstByteMs,
    maxHeaderSize: MAX_HEADER_BYTES,
    bodyTimeout: config.answerMs,
  });

  async function choose(
    request: UploadRequest,
    needBytes: number,
    held: readonly Candidate[],
    excluded: ReadonlySet<number>,
  ) {
    const attempt = () =>
      place(
        view.candidates(request.operator),
        { ...config, copies: request.copies - held.length, needBytes, held, excluded },
        deps.random,
      );
    const first = attempt();
    if (first.kind === 'placed') return first;
    await view.refresh(FRESH_MS);
    return attempt();
  }

  async function openUpload(request: UploadRequest, signal: AbortSignal) {
    const needBytes = request.sizeBytes ?? request.maxBytes ?? config.reserveBytes;
    const held: { node: Candidate; copy: CopyUpload }[] = [];
    const excluded = new Set<number>();
    const refusals: MantaError[] = [];
    const giveUp = (error: MantaError): MantaError => {
      for (const { copy } of held) copy.destroy();
      return error;
    };
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const placement = await choose(
        request,
        needBytes,
        held.map(({ node }) => node),
        excluded,
      );
      if (placement.kind === 'not_enough_space') {
        deps.logger.warn(
          { why: placement.why, copies: request.copies, needBytes, requestId: request.requestId },
          'placement failed',
        );
        throw giveUp(refusals.some(({ code }) => code !== 'NotEnoughSpace') ? exhausted() : notEnough(needBytes));
      }
      const opened = await Promise.allSettled(placement.nodes.map(node => connect(node, request, signal)));
      for (const [index, result] of opened.entries()) {
        const node = placement.nodes[index] as Candidate;
        if (result.status === 'fulfilled') {
          held.push({ node, copy: result.value });
          continue;
        }
        refusals.push(result.reason);
        excluded.add(node.nodeNo);
        view.demote(node.nodeNo);
        metrics.refusals.inc();
        deps.logger.warn(
          { err: result.reason, nodeNo: node.nodeNo, requestId: request.requestId },
          'storage node refused an upload',
        );
      }
      if (signal.aborted)
        throw giveUp(new MantaError('UploadAbandoned', 'request was aborted prematurely by the client'));
      if (held.length === request.copies) {
        for (const { node } of held) view.reserve(node.nodeNo, needBytes);
        const maxBytes = request.sizeBytes === undefined ? (request.maxBytes ?? config.streamingMaxBytes) : undefined;
        return createUpload(
          held.map(({ copy }) => copy),
          maxBytes,
          config,
        );
      }
    }
    throw giveUp(refusals.every(({ code }) => code === 'NotEnoughSpace') ? notEnough(needBytes) : exhausted());
  }

  async function connect(node: Candidate, request: UploadRequest, signal: AbortSignal): Promise<CopyUpload> {
    const found = await view.find(node.nodeNo, signal);
    if (found === undefined) throw new MantaError('Unavailable', `storage node ${node.nodeNo} is unknown`);
    const path = `/${request.creator}/${request.objectId}`;
    const token = deps.signer.sign({
      audience: `storage/${found.storageId}`,
      operation: 'put',
      path,
      requestId: request.requestId,
    });
    const headers = {
      authorization: `Bearer ${token}`,
      'x-manta-hint': request.hint,
      ...(request.sizeBytes === undefined
        ? { 'transfer-encoding': 'chunked', 'x-manta-reserve': String(request.maxBytes ?? config.reserveBytes) }
        : { 'content-length': String(request.sizeBytes) }),
      ...(request.md5 === undefined ? {} : { 'content-md5': request.md5 }),
    };
    return openCopy(
      { nodeNo: node.nodeNo, storageId: found.storageId, baseUrl: found.baseUrl, path, headers },
      uploads,
      config,
      signal,
    );
  }

  return {
    openUpload,
    openDownload: (request, reread, signal) =>
      openDownload({ ...deps, view, dispatcher: downloads, metrics, config }, request, reread, signal),
    handOver: (request, skipped, signal) => handOver({ ...deps, view }, request, skipped, signal),
    canWrite: () => view.candidates(true).length > 0,
    refresh: () => view.refresh(0),
    async close() {
      await view.close();
      uploads.destroy();
      await downloads.destroy();
    },
  };
}

function notEnough(needBytes: number): MantaError {
  return new MantaError('NotEnoughSpace', `not enough free space for ${Math.ceil(needBytes / MIB)} MB`);
}

function exhausted(): MantaError {
  return new MantaError('SharksExhausted', 'No storage nodes available for this request');
}
