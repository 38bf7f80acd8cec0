import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { codeOf } from '../../../lib/errors/manta-error.ts';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { startTestStorageNode, type TestStorageNode } from '../../storage/testing.ts';
import type { TransferConfig } from './config.ts';
import { aBody, anUpload, aView, type FakeNode, patient, refuse, startFakeNode, startTransfers } from './testing.ts';
import type { UploadRequest } from './types.ts';

const PIECE = Buffer.alloc(64 * 1024, 'manta ray ');
const md5Of = (...parts: Buffer[]) => {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest('base64');
};

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

/** An upload that both nodes, or the one given, wait for. */
async function open(
  request: Partial<UploadRequest> = {},
  settings: Partial<TransferConfig> = {},
  on: readonly (TestStorageNode | FakeNode)[] = nodes,
) {
  const transfers = await startTransfers(() => on.map((node, index) => aView(index + 1, node)), settings);
  endings.push(() => transfers.close());
  const asked = anUpload({ copies: on.length, ...request });
  return { asked, upload: await transfers.openUpload(asked, patient) };
}

async function fake(behave: (request: IncomingMessage, response: ServerResponse) => void): Promise<FakeNode> {
  const node = await startFakeNode((request, response) => {
    response.writeContinue();
    behave(request, response);
  });
  endings.push(() => node.close());
  return node;
}

/** Both nodes keep neither a temporary file nor the object. */
async function expectNothingOf({ creator, objectId }: UploadRequest): Promise<void> {
  for (const node of nodes) {
    await eventually(async () => expect(await node.temporaries()).toEqual([]));
    await expect(stat(join(node.dir, creator, objectId))).rejects.toThrow();
  }
}

async function codeFrom(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'nothing was thrown',
    error => codeOf(error),
  );
}

/** Reads the whole body, then answers. */
function afterBody(answer: (response: ServerResponse, bytes: number, md5: string) => void) {
  return async (request: IncomingMessage, response: ServerResponse) => {
    const hash = createHash('md5');
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      hash.update(chunk);
    }
    answer(response, bytes, hash.digest('base64'));
  };
}

describe('a body', () => {
  it.each([
    ['of known length', { sizeBytes: 50 * PIECE.length }],
    ['of unknown length', {}],
  ])('%s lies on every node byte for byte when it is acknowledged', async (_, request) => {
    const { asked, upload } = await open(request);
    const sent = await upload.send(aBody(50, PIECE), patient);
    const whole = Buffer.concat(Array.from({ length: 50 }, () => PIECE));
    expect(sent).toEqual({ sizeBytes: whole.length, md5: md5Of(whole) });
    expect([...upload.copies].sort()).toEqual([1, 2]);
    for (const node of nodes) {
      expect((await readFile(join(node.dir, asked.creator, asked.objectId))).equals(whole)).toBe(true);
    }
  });

  it('may be empty', async () => {
    const { upload } = await open();
    expect(await upload.send(Readable.from([]), patient)).toEqual({ sizeBytes: 0, md5: md5Of() });
  });

  it('is refused with the node’s words when its digest is another one', async () => {
    const { asked, upload } = await open({ md5: md5Of(Buffer.from('other')) });
    await expect(upload.send(aBody(3, PIECE), patient)).rejects.toMatchObject({
      code: 'ContentMD5Mismatch',
      message: `Content-MD5 expected ${md5Of(Buffer.from('other'))}, but was ${md5Of(PIECE, PIECE, PIECE)}`,
    });
    expect(upload.mayHaveStored()).toBe(false);
    await expectNothingOf(asked);
  });

  it('is refused as soon as it is longer than its bound', async () => {
    const { asked, upload } = await open({ maxBytes: PIECE.length + 1 });
    let taken = 0;
    const body = aBody(1_000, PIECE, piece => {
      taken = piece;
    });
    expect(await codeFrom(upload.send(body, patient))).toBe('MaxContentLengthExceeded');
    expect(taken).toBeLessThan(5);
    await expectNothingOf(asked);
  });
});

describe('a client', () => {
  it('that is silent for too long has its upload ended', async () => {
    const { asked, upload } = await open({}, { clientIdleMs: 100 });
    const body = new Readable({ read: () => {} });
    body.push(PIECE);
    expect(await codeFrom(upload.send(body, patient))).toBe('UploadTimeout');
    expect(upload.mayHaveStored()).toBe(false);
    await expectNothingOf(asked);
  });

  it('is not called silent while a node takes nothing', async () => {
    const node = await fake((request, response) => {
      request.pause();
      setTimeout(() => void afterBody(accept)(request, response), 1_500);
    });
    const { upload } = await open({ copies: 1 }, { clientIdleMs: 500 }, [node]);
    const sent = await upload.send(aBody(300, PIECE), patient);
    expect(sent.sizeBytes).toBe(300 * PIECE.length);
  });

  it.each([0, 1, 2, 17, 40])('that goes away after %i pieces leaves nothing', async pieces => {
    const { asked, upload } = await open({ sizeBytes: 40 * PIECE.length });
    const client = new AbortController();
    if (pieces === 0) client.abort();
    const body = aBody(40, PIECE, taken => {
      if (taken === pieces) client.abort();
    });
    expect(await codeFrom(upload.send(body, client.signal))).toBe('UploadAbandoned');
    expect(upload.mayHaveStored()).toBe(false);
    await expectNothingOf(asked);
  });

  it('whose connection breaks leaves nothing', async () => {
    const { asked, upload } = await open();
    const body = aBody(40, PIECE, taken => {
      if (taken === 20) body.destroy(new Error('reset'));
    });
    expect(await codeFrom(upload.send(body, patient))).toBe('UploadAbandoned');
    await expectNothingOf(asked);
  });

  it('may give up before the first byte', async () => {
    const { asked, upload } = await open();
    upload.abort();
    await expectNothingOf(asked);
  });
});

describe('a node', () => {
  const healthy = () => nodes.slice(0, 1);

  it('that takes nothing holds the client back, and ends the upload when it stalls', async () => {
    const node = await fake(request => request.pause());
    const { asked, upload } = await open({}, { stallMs: 300 }, [...healthy(), node]);
    let taken = 0;
    const body = aBody(10_000, PIECE, piece => {
      taken = piece;
    });
    expect(await codeFrom(upload.send(body, patient))).toBe('InternalError');
    // What the kernel keeps for two sockets, and a little here.
    expect(taken * PIECE.length).toBeLessThan(16 << 20);
    await expectNothingOf(asked);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void, boolean]>([
    ['breaks off in the middle', request => request.once('data', () => request.destroy()), false],
    ['refuses in the middle', (_, response) => refuse(response, 507, 'NotEnoughSpace'), false],
    ['refuses at the end', afterBody(response => refuse(response, 507, 'NotEnoughSpace')), false],
    ['fails at the end', afterBody(response => refuse(response, 500, 'InternalError')), true],
    ['breaks off at the end', afterBody(response => response.destroy()), true],
    ['never answers', afterBody(() => {}), true],
    ['answers something else', afterBody(response => response.writeHead(201).end('thanks')), true],
    ['has another length', afterBody((response, bytes, md5) => accept(response, bytes - 1, md5)), true],
  ])('that %s fails the upload', async (name, behave, mayHaveStored) => {
    const answerMs = name === 'never answers' ? 200 : 20_000;
    const alone = await open({ copies: 1 }, { answerMs }, [await fake(behave)]);
    expect(await codeFrom(alone.upload.send(aBody(500, PIECE), patient))).toBe('InternalError');
    expect(alone.upload.mayHaveStored()).toBe(mayHaveStored);
  });

  it('that has another digest than the others fails the upload', async () => {
    const node = await fake(afterBody((response, bytes) => accept(response, bytes, md5Of())));
    const { upload } = await open({}, {}, [...healthy(), node]);
    expect(await codeFrom(upload.send(aBody(3, PIECE), patient))).toBe('InternalError');
    expect(upload.mayHaveStored()).toBe(true);
  });

  it('that fails takes the other copy with it while bytes flow', async () => {
    const node = await fake(request => request.once('data', () => request.destroy()));
    const { asked, upload } = await open({}, {}, [...healthy(), node]);
    expect(await codeFrom(upload.send(aBody(2_000, PIECE), patient))).toBe('InternalError');
    await expectNothingOf(asked);
  });
});

function accept(response: ServerResponse, bytes: number, md5: string): void {
  response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ objectId: 'o', bytes, md5 }));
}
