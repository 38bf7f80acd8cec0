import { once } from 'node:events';
import { rm, truncate } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { eventually } from '../../../lib/eventually/eventually.ts';
import type { ObjectEntry } from '../../../lib/metadata/types.ts';
import { startTestStorageNode, type TestStorageNode } from '../../storage/testing.ts';
import type { TransferConfig } from './config.ts';
import {
  anObject,
  anUpload,
  aView,
  type FakeNode,
  patient,
  refuse,
  startFakeNode,
  startTransfers,
  uuid,
} from './testing.ts';
import type { DownloadRequest, Transfers } from './types.ts';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';
/** Draws that leave the copies in the order they are given in. */
const IN_ORDER = () => 0.999;

let nodes: TestStorageNode[];
let endings: Array<() => Promise<void>> = [];

beforeAll(async () => {
  nodes = await Promise.all([1, 2].map(number => startTestStorageNode({ number })));
});
afterEach(async () => {
  await Promise.all(endings.map(end => end()));
  endings = [];
});
afterAll(() => Promise.all(nodes.map(node => node.close())));

/** Transfers over the two real nodes, numbered 1 and 2, and the fake one as number 3. */
async function start(fake?: FakeNode, settings: Partial<TransferConfig> = {}, random = IN_ORDER) {
  const real = nodes.map((node, index) => aView(index + 1, node));
  const transfers = await startTransfers(
    () => (fake === undefined ? real : [...real, aView(3, fake, { writes: 'disabled' })]),
    settings,
    { random },
  );
  endings.push(() => transfers.close());
  return transfers;
}

async function store(transfers: Transfers, body: string | Buffer = ALPHABET): Promise<ObjectEntry> {
  const request = anUpload();
  const upload = await transfers.openUpload(request, patient);
  const sent = await upload.send(Readable.from([Buffer.from(body)]), patient);
  return anObject(request, { ...sent, copies: [...upload.copies].sort() });
}

function open(
  transfers: Transfers,
  object: ObjectEntry,
  change: Partial<DownloadRequest> = {},
  reread: () => Promise<ObjectEntry | undefined> = async () => object,
  signal = patient,
) {
  return transfers.openDownload(
    { object, status: 200, headers: { etag: object.etag }, requestId: 'r1', ...change },
    reread,
    signal,
  );
}

async function fake(behave: (request: IncomingMessage, response: ServerResponse) => void): Promise<FakeNode> {
  const node = await startFakeNode(behave);
  endings.push(() => node.close());
  return node;
}

describe('a download', () => {
  it('brings the bytes, the headers it was given, and their length', async () => {
    const transfers = await start();
    const object = await store(transfers);
    const download = await open(transfers, object, { headers: { etag: object.etag, 'm-colour': 'blue' } });
    expect(download.headers).toMatchObject({ etag: object.etag, 'm-colour': 'blue', 'content-length': '26' });
    expect(nodes.map(node => node.storageId)).toContain(download.storageId);
    expect(await text(download.body)).toBe(ALPHABET);
  });

  it.each<[string, readonly [number, number]]>([
    ['abc', [0, 2]],
    ['z', [25, 25]],
    [ALPHABET, [0, 25]],
  ])('brings %s of a range', async (expected, range) => {
    const transfers = await start();
    const { body } = await open(transfers, await store(transfers), { status: 206, range });
    expect(await text(body)).toBe(expected);
  });

  it('brings objects whose headers are as long as a client may send', async () => {
    const transfers = await start();
    const value = '"'.repeat(60_000);
    const { headers } = await open(transfers, await store(transfers), { headers: { 'surrogate-key': value } });
    expect(headers['surrogate-key']).toBe(value);
  });

  it('begins with any of the copies', async () => {
    let draw = 0;
    const transfers = await start(undefined, {}, () => {
      draw = (draw + 0.37) % 1;
      return draw;
    });
    const object = await store(transfers);
    const seen = new Set<string>();
    for (let i = 0; i < 10; i += 1) {
      const { storageId, body } = await open(transfers, object);
      seen.add(storageId);
      await text(body);
    }
    expect(seen.size).toBe(2);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['fails', (_, response) => refuse(response, 500, 'InternalError')],
    ['does not know the token', (_, response) => refuse(response, 401, 'InvalidToken')],
    ['does not have it', (_, response) => refuse(response, 404, 'ObjectNotFound')],
    ['has another one under its name', (_, response) => response.writeHead(200).end('short')],
    ['says nothing', () => {}],
    [
      'breaks off before the first byte',
      (_, response) => {
        response.writeHead(200, { 'content-length': 26 }).flushHeaders();
        setTimeout(() => response.destroy(), 20);
      },
    ],
    ['sends headers and no byte', (_, response) => response.writeHead(200, { 'content-length': 26 }).flushHeaders()],
    ['hangs up', request => request.socket.destroy()],
  ])('goes on to the next copy when a node %s', async (_, behave) => {
    const node = await fake(behave);
    const transfers = await start(node, { firstByteMs: 1_000 });
    const object = await store(transfers);
    const { body } = await open(transfers, { ...object, copies: [3, ...object.copies] });
    expect(node.requests()).toBe(1);
    expect(await text(body)).toBe(ALPHABET);
  });

  it('goes on to the next copy when a node cannot be reached, or is unknown', async () => {
    const gone = await startFakeNode(() => {});
    await gone.close();
    const transfers = await start(gone);
    const object = await store(transfers);
    const { body } = await open(transfers, { ...object, copies: [3, 99, ...object.copies] });
    expect(await text(body)).toBe(ALPHABET);
  });

  it('passes over a copy that is cut short on disk, and over one that is not there', async () => {
    const transfers = await start();
    for (const damage of [(path: string) => truncate(path, 25), (path: string) => rm(path)]) {
      const object = await store(transfers);
      await damage(join(nodes[0]?.dir ?? '', object.creator, object.objectId));
      const { body, storageId } = await open(transfers, object);
      expect(storageId).toBe(nodes[1]?.storageId);
      expect(await text(body)).toBe(ALPHABET);
    }
  });

  it('fails for good when no copy can be read', async () => {
    const node = await fake((_, response) => refuse(response, 500, 'InternalError'));
    const transfers = await start(node);
    const object = anObject({ creator: uuid(), objectId: uuid() }, { sizeBytes: 26, md5: '', copies: [3, 98, 99] });
    await expect(open(transfers, object)).rejects.toMatchObject({ code: 'ServiceUnavailable' });
  });

  it('asks once whether the object is still there when a node does not have it', async () => {
    const transfers = await start();
    const object = anObject({ creator: uuid(), objectId: uuid() }, { sizeBytes: 26, md5: '', copies: [1, 2] });
    let rereads = 0;
    const stillThere = async () => {
      rereads += 1;
      return object;
    };
    await expect(open(transfers, object, {}, stillThere)).rejects.toMatchObject({ code: 'ServiceUnavailable' });
    expect(rereads).toBe(1);
    await expect(open(transfers, object, {}, async () => undefined)).rejects.toMatchObject({
      code: 'ResourceNotFound',
    });
  });

  it('never mixes the bytes of one version with the headers of another', async () => {
    const transfers = await start();
    const old = anObject({ creator: uuid(), objectId: uuid() }, { sizeBytes: 26, md5: '', copies: [1, 2] });
    const current = await store(transfers);
    await expect(open(transfers, old, {}, async () => current)).rejects.toMatchObject({ code: 'ServiceUnavailable' });
  });

  it('ends in an error, not in an end, when the node breaks off later', async () => {
    const node = await fake((_, response) => {
      response.writeHead(200, { 'content-length': 26 }).write('abc');
      setTimeout(() => response.destroy(), 20);
    });
    const transfers = await start(node);
    const object = anObject({ creator: uuid(), objectId: uuid() }, { sizeBytes: 26, md5: '', copies: [3] });
    const { body } = await open(transfers, object);
    await expect(buffer(body)).rejects.toThrow();
  });

  it('lets go of the node when the client goes away', async () => {
    let isClosed = false;
    const node = await fake((_, response) => {
      response.writeHead(200, { 'content-length': 26 }).write('abc');
      response.once('close', () => {
        isClosed = true;
      });
    });
    const transfers = await start(node);
    const object = anObject({ creator: uuid(), objectId: uuid() }, { sizeBytes: 26, md5: '', copies: [3] });
    const client = new AbortController();
    const { body } = await open(transfers, object, {}, undefined, client.signal);
    const failure = once(body, 'error');
    client.abort();
    await failure;
    await eventually(() => expect(isClosed).toBe(true));
  });

  it('holds the node back while the client takes nothing', async () => {
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    const node = await fake((_, response) => {
      response.writeHead(200, { 'content-length': 2_000 * piece.length });
      const more = () => {
        while (!response.destroyed) {
          sent += piece.length;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
      };
      more();
    });
    const transfers = await start(node);
    const sizeBytes = 2_000 * piece.length;
    const object = anObject({ creator: uuid(), objectId: uuid() }, { sizeBytes, md5: '', copies: [3] });
    const client = new AbortController();
    const { body } = await open(transfers, object, {}, undefined, client.signal);
    body.on('error', () => {});
    let before = -1;
    await eventually(() => {
      const isSteady = sent === before;
      before = sent;
      expect(isSteady).toBe(true);
    });
    expect(sent).toBeLessThan(16 << 20);
    client.abort();
  });
});
