import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { eventually } from '../../lib/eventually/eventually.ts';
import { openRaw, type RawConnection, type TestClient } from './testing/client.ts';
import { startRegion, type TestRegion, withRegion } from './testing/region.ts';

const IDLE_MS = 400;
const HEADERS_MS = 600;
const STALL_MS = 900;

let region: TestRegion;
let alice: TestClient;
let names = 0;
const opened: RawConnection[] = [];

beforeAll(async () => {
  region = await startRegion({
    timers: { headers: HEADERS_MS, stall: STALL_MS },
    transfer: { clientIdleMs: IDLE_MS },
  });
  alice = await region.account();
});

afterEach(() => {
  for (const connection of opened.splice(0)) connection.destroy();
});

afterAll(() => region?.close());

function raw(): RawConnection {
  const connection = openRaw(region.url);
  opened.push(connection);
  return connection;
}

const fresh = () => {
  names += 1;
  return `/${alice.login}/stor/raw${names}`;
};

/** The head of a signed request. */
function head(method: string, path: string, ...lines: string[]): string {
  const { date, authorization } = alice.credentials();
  const all = [
    `${method} ${path} HTTP/1.1`,
    'Host: manta',
    `Date: ${date}`,
    `Authorization: ${authorization}`,
    ...lines,
  ];
  return `${all.join('\r\n')}\r\n\r\n`;
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

async function expectNothingLeft(path: string): Promise<void> {
  expect((await alice.request('HEAD', path)).status).toBe(404);
  await eventually(async () => (await region.temporaries()).length === 0);
}

/** Files of all objects, as `<node>/<creator>/<object>`. */
async function storedFiles(objectId: string): Promise<string[]> {
  const perNode = await Promise.all(
    region.volumes.map(async volume => {
      const files = await readdir(volume, { recursive: true });
      return files.filter(file => file.endsWith(objectId)).map(file => join(volume, file));
    }),
  );
  return perNode.flat();
}

describe('what is no HTTP', () => {
  it.each([
    ['a broken request line', 'GARBAGE\r\n\r\n'],
    ['a broken header', 'GET /ping HTTP/1.1\r\nno colon\r\n\r\n'],
    ['a negative length', 'PUT /a/stor/x HTTP/1.1\r\nContent-Length: -5\r\n\r\n'],
    ['two lengths', 'PUT /a/stor/x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'],
    ['a length and chunks', 'PUT /a/stor/x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('is answered 400 for %s, and the connection closed', async (_, text) => {
    const connection = raw();
    connection.write(text);
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toMatch(
      /\r\nContent-Type: application\/json\r\nContent-Length: 56\r\nDate: .*\r\nServer: Manta\r\n\r\n/,
    );
    expect(answer).toMatch(/\{"code":"BadRequest","message":"malformed HTTP request"\}$/);
  });

  it('is answered 431 beyond 64 KiB of headers', async () => {
    const connection = raw();
    connection.write(`GET /ping HTTP/1.1\r\nm-a: ${'x'.repeat(70_000)}\r\n\r\n`);
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toMatch(/"RequestHeaderFieldsTooLarge","message":"request headers exceed 65536 bytes"/);
  });

  it('is answered 408 when the headers take too long', async () => {
    const connection = raw();
    connection.write('GET /ping HTTP/1.1\r\nm-a: x');
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(answer).toMatch(/"RequestTimeout","message":"request headers took too long"/);
  });

  it('inside a body leaves nothing behind', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(`${head('PUT', path, 'Transfer-Encoding: chunked')}4\r\nabcd\r\nnonsense\r\n`);
    expect(await connection.ended()).toMatch(/^HTTP\/1\.1 400 /);
    await expectNothingLeft(path);
  });
});

test('thousands of headers are all seen', async () => {
  const many = Array.from({ length: 3000 }, (_, i) => `x-${i}: 1`).join('\r\n');
  const { date, authorization } = alice.credentials();
  const connection = raw();
  connection.write(
    `GET /${alice.login}/stor HTTP/1.1\r\n${many}\r\nDate: ${date}\r\nAuthorization: ${authorization}\r\n\r\n`,
  );
  expect(await connection.until(/\r\n0\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 200 /);
});

test('a PUT without length and chunks makes an empty object', async () => {
  const path = fresh();
  const connection = raw();
  connection.write(head('PUT', path));
  expect(await connection.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 204 /);
  expect((await alice.request('HEAD', path)).headers['content-length']).toBe('0');
});

describe('a connection', () => {
  it('answers requests that were sent together one after the other', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(`${head('PUT', path, 'Content-Length: 3')}abc${head('GET', path)}${head('DELETE', path)}`);
    const answers = await connection.until(/abc[\s\S]*HTTP\/1\.1 204[\s\S]*\r\n\r\n$/);
    expect(statuses(answers)).toEqual([204, 200, 204]);
  });

  it('ends with the answer to a whole request when what follows is no HTTP', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(`${head('PUT', path, 'Content-Length: 3')}abcde`);
    expect(statuses(await connection.ended())).toEqual([204]);
    expect((await alice.request('HEAD', path)).headers['content-length']).toBe('3');
  });

  it('stays usable after an error whose body was still to come', async () => {
    const connection = raw();
    const body = 'x'.repeat(300_000);
    connection.write(`${head('PUT', `${fresh()}/a/b`, `Content-Length: ${body.length}`)}`);
    await connection.until(/DirectoryDoesNotExist/);
    connection.write(body);
    connection.write(head('GET', '/ping'));
    const answers = await connection.until(/404[\s\S]*200 OK[\s\S]*\r\n\r\n$/);
    expect(statuses(answers)).toEqual([404, 200]);
    expect(answers).not.toMatch(/connection: close/i);
  });

  it('stays usable after an upload that failed half way', async () => {
    const path = fresh();
    const connection = raw();
    const chunk = `${(100_000).toString(16)}\r\n${'x'.repeat(100_000)}\r\n`;
    connection.write(head('PUT', path, 'Transfer-Encoding: chunked', 'Max-Content-Length: 150000'));
    connection.write(chunk.repeat(4));
    await connection.until(/MaxContentLengthExceeded/);
    connection.write(`0\r\n\r\n${head('GET', '/ping')}`);
    expect(statuses(await connection.until(/200 OK[\s\S]*\r\n\r\n$/))).toEqual([413, 200]);
    await expectNothingLeft(path);
  });

  it('is closed when the rest of a refused body stands still', async () => {
    const connection = raw();
    connection.write(`${head('PUT', `${fresh()}/a/b`, 'Content-Length: 1000')}some`);
    const startedAt = performance.now();
    expect(statuses(await connection.ended())).toEqual([404]);
    expect(performance.now() - startedAt).toBeGreaterThan(IDLE_MS - 50);
  });

  it('answers requests that arrive together in their order', async () => {
    const [first, second] = [fresh(), fresh()];
    await alice.put(first, 'abc');
    const connection = raw();
    connection.write(`${head('GET', first)}${head('GET', '/ping')}${head('GET', second)}`);
    const answers = await connection.until(/ResourceNotFound/);
    expect(statuses(answers)).toEqual([200, 200, 404]);
    expect(answers).toContain('\r\n\r\nabcHTTP');
  });
});

describe('100-continue', () => {
  it('comes only after everything was checked, and before any byte of the body', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(head('PUT', path, 'Content-Length: 3', 'Expect: 100-continue'));
    await connection.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    connection.write('abc');
    expect(statuses(await connection.until(/204[\s\S]*\r\n\r\n/))).toEqual([100, 204]);
  });

  it('is withheld when the request is refused, and then the connection ends', async () => {
    const connection = raw();
    connection.write(head('PUT', `${fresh()}/a/b`, 'Content-Length: 3', 'Expect: 100-continue'));
    const answer = await connection.ended();
    expect(statuses(answer)).toEqual([404]);
    expect(answer).toMatch(/connection: close/i);
  });

  it('may be followed by an error while the body flows, and the connection stays', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(
      head('PUT', path, 'Content-Length: 3', 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==', 'Expect: 100-continue'),
    );
    await connection.until(/100 Continue/);
    connection.write('abc');
    await connection.until(/ContentMD5Mismatch/);
    connection.write(head('GET', '/ping'));
    expect(statuses(await connection.until(/200 OK[\s\S]*\r\n\r\n$/))).toEqual([100, 400, 200]);
    await expectNothingLeft(path);
  });
});

describe('an upload', () => {
  it('that stands still is answered 408 and the connection closed', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(`${head('PUT', path, 'Content-Length: 1000')}only this`);
    const answer = await connection.ended();
    expect(statuses(answer)).toEqual([408]);
    expect(answer).toMatch(/"UploadTimeout","message":"request took too long to send data"/);
    await expectNothingLeft(path);
  });

  it('that is cut leaves neither an entry nor a file, and is recorded as 499', async () => {
    const path = fresh();
    const connection = raw();
    connection.write(`${head('PUT', path, 'Content-Length: 1000000', `x-request-id: cut-${names}`)}`);
    connection.write('x'.repeat(300_000));
    await eventually(async () => (await region.temporaries()).length > 0);
    connection.destroy();
    await expectNothingLeft(path);
    const record = () => region.log.find(line => line.req_id === `cut-${names}` && line.audit === true);
    await eventually(() => record() !== undefined);
    expect(record()).toMatchObject({ res: { statusCode: 499 }, err: { code: 'UploadAbandoned' } });
  });
});

describe('a read', () => {
  it('is served from another copy when one is lost, and is 503 when all are', async () => {
    const path = fresh();
    const { headers } = await alice.put(path, 'precious');
    const [first, second] = await storedFiles(String(headers.etag));
    await rm(first ?? '');
    for (let i = 0; i < 6; i += 1) expect((await alice.request('GET', path)).text).toBe('precious');
    await rm(second ?? '');
    const answer = await alice.request('GET', path);
    expect([answer.status, answer.code, answer.headers['retry-after']]).toEqual([503, 'ServiceUnavailable', '2']);
    expect(answer.headers.etag).toBe(headers.etag);
  });

  it('whose client goes away is given up, and recorded as 499', async () => {
    const path = fresh();
    await alice.put(path, Buffer.alloc(30_000_000));
    const { hostname, port } = new URL(region.url);
    const socket = connect(Number(port), hostname);
    socket.write(head('GET', path, `x-request-id: gone-${names}`));
    await once(socket, 'data');
    socket.destroy();
    const record = () => region.log.find(line => line.req_id === `gone-${names}` && line.audit === true);
    await eventually(() => record() !== undefined);
    expect(record()).toMatchObject({ res: { statusCode: 499 } });
    expect(Number(record()?.bytesOut)).toBeLessThan(30_000_000);
  });
});

/** Starts a GET of a large object and stops reading after the first bytes. */
async function aStalledReader(url: string, request: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(request);
  await once(socket, 'data');
  socket.pause();
  return socket;
}

test('an answer that nobody reads is given up', async () => {
  const path = fresh();
  await alice.put(path, Buffer.alloc(30_000_000));
  const id = `stalled-${names}`;
  const socket = await aStalledReader(region.url, head('GET', path, `x-request-id: ${id}`));
  const record = () => region.log.find(line => line.req_id === id && line.audit === true);
  await eventually(() => record() !== undefined);
  expect(record()).toMatchObject({ res: { statusCode: 499 } });
  socket.destroy();
});

test('when parts of the region fail, requests are 503 with a time to come back, and what was begun is broken off', async () => {
  await withRegion(async ({ url, account, nodes, databases, log }) => {
    const bob = await account();
    const path = `/${bob.login}/stor/large`;
    await bob.put(path, Buffer.alloc(30_000_000));
    const { date, authorization } = bob.credentials();
    const socket = await aStalledReader(
      url,
      `GET ${path} HTTP/1.1\r\nx-request-id: cut\r\nDate: ${date}\r\nAuthorization: ${authorization}\r\n\r\n`,
    );
    await Promise.all(nodes.map(node => node.close()));
    let received = 0;
    socket.on('data', chunk => {
      received += chunk.length;
    });
    socket.resume();
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
    expect(received).toBeLessThan(30_000_000);
    const record = () => log.find(line => line.req_id === 'cut' && line.audit === true);
    await eventually(() => record() !== undefined);
    expect(record()).toMatchObject({ res: { statusCode: 200 }, err: { code: 'InternalError' } });

    const put = await bob.put(path, 'x');
    expect([put.status, put.code, put.headers['retry-after'], put.headers.connection]).toEqual([
      ...[503, 'InternalError', '30', 'keep-alive'],
    ]);
    await databases.drop();
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await bob.request(method, path);
      expect([answer.status, answer.code, answer.headers['retry-after']]).toEqual([503, 'ServiceUnavailable', '2']);
    }
    expect((await bob.request('GET', '/ping')).status).toBe(200);
  });
});

test('over plain HTTP only presigned requests and public reads are served, unless a trusted proxy vouches', async () => {
  await withRegion(
    async ({ account }) => {
      const bob = await account();
      const statusOf = async (path: string, headers = {}, signed = true) => {
        const { status, code } = await bob.request('GET', path, { headers, signed });
        return code ?? status;
      };
      expect(await statusOf(`/${bob.login}/stor`)).toBe('SecureTransportRequired');
      expect(await statusOf(`/${bob.login}/public`)).toBe(200);
      expect(await statusOf(`/${bob.login}/stor?keyId=x`, {}, false)).toBe('InvalidQueryStringAuthentication');
      expect(await statusOf(`/${bob.login}/stor`, { 'x-forwarded-proto': 'https' })).toBe(200);
    },
    { insecureHttp: false, trustedProxies: ['127.0.0.1'] },
  );
});

test('at its end the server refuses pings, lets what runs end, and closes the rest', async () => {
  await withRegion(
    async ({ url, webapi, account }) => {
      const bob = await account();
      const { date, authorization } = bob.credentials();
      const credentials = `Date: ${date}\r\nAuthorization: ${authorization}\r\n`;
      const running = openRaw(url);
      const idle = openRaw(url);
      const pinging = openRaw(url);
      running.write(
        `PUT /${bob.login}/stor/x HTTP/1.1\r\n${credentials}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n`,
      );
      await running.until(/100 Continue/);
      for (const connection of [idle, pinging]) {
        connection.write('GET /ping HTTP/1.1\r\n\r\n');
        await connection.until(/200 OK[\s\S]*\r\n\r\n$/);
      }
      const closed = webapi.close();
      pinging.write('GET /ping HTTP/1.1\r\n\r\n');
      expect(await pinging.ended()).toMatch(/503 [\s\S]*retry-after: 2[\s\S]*ServiceUnavailable/);
      expect(statuses(await idle.ended())).toEqual([200]);
      running.write('abc');
      expect(await running.ended()).toMatch(/204 [\s\S]*connection: close/i);
      await closed;
      await expect(bob.request('GET', '/ping')).rejects.toThrow();
    },
    { timers: { lameDuck: 200 } },
  );
});
