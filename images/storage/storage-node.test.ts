import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { request } from 'undici';
import { eventually } from '../../lib/eventually/eventually.ts';
import { aGrant, startTestStorageNode, type TestStorageNode, testSigner, testVerifier } from './testing.ts';

let node: TestStorageNode;

beforeAll(async () => {
  node = await startTestStorageNode();
});
afterAll(() => node.close());

const md5 = (body: Buffer | string) => createHash('md5').update(body).digest('base64');

async function put(body: string | Readable, headers: Record<string, string> = {}, target = node) {
  const grant = aGrant(target.storageId, 'put');
  const response = await request(target.baseUrl + grant.path, {
    method: 'PUT',
    headers: { authorization: grant.authorization, ...headers },
    body,
  });
  const text = await response.body.text();
  return { ...grant, status: response.statusCode, body: text === '' ? undefined : JSON.parse(text) };
}

async function get(
  path: string,
  delivery: { sizeBytes: number; range?: [number, number]; status?: 200 | 206 },
  target = node,
) {
  const token = testSigner.sign({
    audience: `storage/${target.storageId}`,
    operation: 'get',
    path,
    delivery: { status: 200, headers: { etag: 'e', 'm-colour': 'blau' }, ...delivery },
  });
  const response = await request(target.baseUrl + path, { headers: { authorization: `Bearer ${token}` } });
  return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
}

describe('PUT', () => {
  it('answers 201 with length and digest once the bytes are in place', async () => {
    const answer = await put('ten bytes!');
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({ objectId: answer.objectId, bytes: 10, md5: md5('ten bytes!') });
    expect((await stat(join(node.dir, answer.creator, answer.objectId))).size).toBe(10);
  });

  it('replaces the file when it is repeated with the same id', async () => {
    const first = await put('first');
    const response = await request(node.baseUrl + first.path, {
      method: 'PUT',
      headers: { authorization: first.authorization },
      body: 'second one',
    });
    expect(response.statusCode).toBe(201);
    await response.body.dump();
    expect((await get(first.path, { sizeBytes: 10 })).text).toBe('second one');
  });

  it('answers 469 when the body is not what Content-MD5 says, and keeps nothing', async () => {
    const answer = await put('hello', { 'content-md5': md5('goodbye') });
    expect(answer.status).toBe(469);
    expect(answer.body).toEqual({
      code: 'ContentMD5Mismatch',
      message: `Content-MD5 expected ${md5('goodbye')}, but was ${md5('hello')}`,
    });
    expect(await node.temporaries()).toEqual([]);
    await expect(stat(join(node.dir, answer.creator, answer.objectId))).rejects.toThrow();
  });

  it('says 507 before the body when the declared size does not fit, without 100 Continue', async () => {
    const grant = aGrant(node.storageId, 'put');
    const outcome = await new Promise<{ continued: boolean; status: number | undefined }>((resolve, reject) => {
      let continued = false;
      const outgoing = httpRequest(node.baseUrl + grant.path, {
        method: 'PUT',
        headers: { authorization: grant.authorization, 'content-length': 1e15, expect: '100-continue' },
      });
      outgoing.on('continue', () => {
        continued = true;
      });
      outgoing.on('response', response => {
        resolve({ continued, status: response.statusCode });
        outgoing.destroy();
      });
      outgoing.on('error', reject);
      outgoing.flushHeaders();
    });
    expect(outcome).toEqual({ continued: false, status: 507 });
    expect(await node.temporaries()).toEqual([]);
  });

  it('says 507 when what is reserved for a body of unknown length does not fit', async () => {
    // A stream, because a text would be sent with its length.
    expect((await put(Readable.from(['x']), { 'x-manta-reserve': '1000000000000000' })).status).toBe(507);
  });

  it.each([
    ['no token', () => ({ authorization: '' }), 401],
    ['a token for GET', (path: string) => ({ authorization: bearer(node.storageId, 'get', path) }), 403],
    ['a token for another node', (path: string) => ({ authorization: bearer('2.stor.test', 'put', path) }), 403],
    ['a token for another object', () => ({ authorization: bearer(node.storageId, 'put', '/a/b') }), 403],
  ])('with %s stores nothing', async (_, headersFor, status) => {
    const path = `/${randomUUID()}/${randomUUID()}`;
    const response = await request(node.baseUrl + path, { method: 'PUT', headers: headersFor(path), body: 'x' });
    await response.body.dump();
    expect(response.statusCode).toBe(status);
    await expect(stat(join(node.dir, dirname(path)))).rejects.toThrow();
  });

  it('cut half way leaves nothing', async () => {
    const grant = aGrant(node.storageId, 'put');
    const outgoing = httpRequest(node.baseUrl + grant.path, {
      method: 'PUT',
      headers: { authorization: grant.authorization, 'content-length': 5_000_000 },
    });
    outgoing.on('error', () => {});
    outgoing.write(Buffer.alloc(3_000_000));
    await eventually(async () => expect(await node.temporaries()).toHaveLength(1));
    outgoing.destroy();
    await eventually(async () => expect(await node.temporaries()).toEqual([]));
    await expect(stat(join(node.dir, grant.creator, grant.objectId))).rejects.toThrow();
  });
});

describe('GET', () => {
  it('sends the grant’s status and headers, and the length of its own', async () => {
    const { path } = await put('abcdefghijklmnopqrstuvwxyz');
    const whole = await get(path, { sizeBytes: 26 });
    expect(whole).toMatchObject({
      status: 200,
      text: 'abcdefghijklmnopqrstuvwxyz',
      headers: { etag: 'e', 'm-colour': 'blau', 'content-length': '26' },
    });
    const part = await get(path, { sizeBytes: 26, range: [3, 5], status: 206 });
    expect(part).toMatchObject({ status: 206, text: 'def', headers: { 'content-length': '3' } });
  });

  it('refuses a copy that is shorter than the object, before any byte of it', async () => {
    const { path, creator, objectId } = await put('abcdef');
    await truncate(join(node.dir, creator, objectId), 4);
    expect(await get(path, { sizeBytes: 6 })).toMatchObject({
      status: 409,
      text: expect.stringContaining('SizeMismatch'),
    });
  });

  it('says 404 for what it does not have, and for what is no file', async () => {
    const path = `/${randomUUID()}/${randomUUID()}`;
    expect((await get(path, { sizeBytes: 6 })).status).toBe(404);
    await mkdir(join(node.dir, path), { recursive: true });
    expect((await get(path, { sizeBytes: 6 })).status).toBe(404);
    await rm(join(node.dir, dirname(path)), { recursive: true });
  });

  it('needs a grant that names the answer', async () => {
    const grant = aGrant(node.storageId, 'get');
    const response = await request(node.baseUrl + grant.path, { headers: { authorization: grant.authorization } });
    await response.body.dump();
    expect(response.statusCode).toBe(403);
  });
});

describe('HEAD', () => {
  it('gives length and digest of the bytes as they are on disk now', async () => {
    const { creator, objectId, path } = await put('before');
    await writeFile(join(node.dir, creator, objectId), 'rotten');
    const token = bearer(node.storageId, 'head', path);
    const response = await request(node.baseUrl + path, { method: 'HEAD', headers: { authorization: token } });
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({ 'content-length': '6', 'content-md5': md5('rotten') });
  });
});

/** An upload that has been told to go on, with its bytes still to come. */
async function begin(target: TestStorageNode) {
  const grant = aGrant(target.storageId, 'put');
  const outgoing = httpRequest(target.baseUrl + grant.path, {
    agent: new Agent({ keepAlive: true }),
    method: 'PUT',
    headers: { authorization: grant.authorization, 'content-length': 5, expect: '100-continue' },
  });
  const response = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  outgoing.flushHeaders();
  await once(outgoing, 'continue');
  return {
    async finish(): Promise<number | undefined> {
      outgoing.end('bytes');
      const [{ statusCode }] = await response;
      return statusCode;
    },
  };
}

describe('a node', () => {
  it('goes on with a transfer that outlives its token', async () => {
    let elapsedMs = 0;
    const clock = { now: () => Date.now() + elapsedMs, monotonic: () => elapsedMs };
    const late = await startTestStorageNode({ number: 4 }, { verifier: testVerifier('storage/4.stor.test', clock) });
    const upload = await begin(late);
    elapsedMs = 3_600_000;
    expect(await upload.finish()).toBe(201);
    expect((await put('x', {}, late)).status).toBe(401);
    await late.close();
  });

  it('ends a running upload in order when it is stopped, and does not wait for its idle connection', async () => {
    const stopping = await startTestStorageNode({ number: 5, drainMs: 20_000 });
    const upload = await begin(stopping);
    const started = performance.now();
    const closed = stopping.node.close();
    expect(await upload.finish()).toBe(201);
    await closed;
    expect(performance.now() - started).toBeLessThan(10_000);
    await stopping.close();
  });

  it('refuses a start on the volume of another', async () => {
    await expect(startTestStorageNode({ number: 2, dir: node.dir })).rejects.toMatchObject({ code: 'ForeignVolume' });
  });

  it('whose volume has gone says so instead of taking uploads', async () => {
    const lost = await startTestStorageNode({ number: 3 });
    await rm(lost.dir, { recursive: true });
    try {
      expect((await put('x', {}, lost)).status).toBe(503);
    } finally {
      await lost.close();
    }
  });
});

function bearer(storageId: string, operation: string, path: string): string {
  return `Bearer ${testSigner.sign({ audience: `storage/${storageId}`, operation, path })}`;
}
