import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import type { ObjectEntry, Rev, StorageNodeView, Uuid } from '../../../lib/metadata/types.ts';
import { type TestStorageNode, testSigner } from '../../storage/testing.ts';
import { type TransferConfig, transferConfigSchema } from './config.ts';
import { createTransfers, type TransferDeps } from './transfers.ts';
import type { UploadRequest } from './types.ts';

const GIB = 2 ** 30;
export const uuid = () => randomUUID() as string as Uuid;
/** A request that nobody gives up. */
export const patient = new AbortController().signal;

/** A healthy node as the registry shows it. */
export function aView(
  nodeNo: number,
  node: Pick<TestStorageNode, 'baseUrl' | 'storageId'>,
  change: Partial<StorageNodeView> = {},
): StorageNodeView {
  return {
    nodeNo,
    storageId: node.storageId,
    baseUrl: node.baseUrl,
    datacenter: 'a',
    failureDomain: `f${nodeNo}`,
    writes: 'enabled',
    lifecycle: 'active',
    outOfService: false,
    totalBytes: 1_000 * GIB,
    availBytes: 900 * GIB,
    inodesFree: 1_000_000,
    heartbeatAgeMs: 0,
    ...change,
  };
}

/** Transfers over a registry that always says `list()`, with a first look at it done. */
export async function startTransfers(
  list: () => StorageNodeView[],
  settings: Partial<TransferConfig> = {},
  deps: Partial<TransferDeps> = {},
) {
  const transfers = createTransfers(
    {
      storageNodes: { list: async () => list() },
      signer: testSigner,
      clock: systemClock,
      random: Math.random,
      logger: pino({ level: 'silent' }),
      registry: new Registry(),
      ...deps,
    },
    transferConfigSchema.parse(settings),
  );
  await transfers.refresh();
  return transfers;
}

export function anUpload(change: Partial<UploadRequest> = {}): UploadRequest {
  return {
    creator: uuid(),
    objectId: uuid(),
    copies: 2,
    operator: false,
    requestId: 'r1',
    hint: '1 /a/stor/b',
    ...change,
  };
}

/** The entry that a finished upload would get. */
export function anObject(
  { creator, objectId }: Pick<UploadRequest, 'creator' | 'objectId'>,
  stored: { readonly sizeBytes: number; readonly md5: string; readonly copies: readonly number[] },
): ObjectEntry {
  return {
    kind: 'object',
    owner: creator,
    creator,
    objectId,
    etag: objectId,
    rev: uuid() as string as Rev,
    mtimeMs: 0,
    roles: [],
    headers: {},
    contentType: 'text/plain',
    singlePath: true,
    ...stored,
  };
}

/** Pieces of a body; `onPiece` hears of each as it is taken. */
export function aBody(pieces: number, piece: Buffer, onPiece: (taken: number) => void = () => {}): Readable {
  async function* generate() {
    for (let taken = 1; taken <= pieces; taken += 1) {
      onPiece(taken);
      yield piece;
    }
  }
  return Readable.from(generate(), { objectMode: true, highWaterMark: 1 });
}

type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** A server in the place of a storage node that behaves as the test wants. */
export interface FakeNode {
  readonly storageId: string;
  readonly baseUrl: string;
  /** Requests it has seen. */
  requests(): number;
  close(): Promise<void>;
}

export async function startFakeNode(behave: Behaviour): Promise<FakeNode> {
  let requests = 0;
  const server = createServer();
  const onRequest: Behaviour = (request, response) => {
    requests += 1;
    request.on('error', () => {});
    behave(request, response);
  };
  server.on('request', onRequest).on('checkContinue', onRequest);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    storageId: `${port}.stor.test`,
    baseUrl: `http://127.0.0.1:${port}`,
    requests: () => requests,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Answers as storage nodes refuse. */
export function refuse(response: ServerResponse, status: number, code: string, message = code): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ code, message }));
}
