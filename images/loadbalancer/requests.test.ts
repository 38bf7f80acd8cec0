import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type SecureVersion, connect as tlsConnect } from 'node:tls';
import { eventually } from '../../lib/eventually/eventually.ts';
import { type RunningLoadbalancer, startLoadbalancer } from './testing/start.ts';
import { startUpstream, type Upstream } from './testing/upstream.ts';

/** What clients and webapi see of each other through the load balancer. */
let upstream: Upstream;
let balancer: RunningLoadbalancer;
let handle: RequestListener;
const agent = new TlsAgent({ keepAlive: true, maxSockets: 1 });

beforeAll(async () => {
  upstream = await startUpstream((request, response) => handle(request, response));
  balancer = await startLoadbalancer({ backends: { kind: 'fixed', list: [upstream.backend] } });
  await balancer.ready();
});
afterAll(async () => {
  agent.destroy();
  await balancer.close();
  await upstream.close();
});
beforeEach(() => {
  upstream.seen.length = 0;
  handle = (request, response) => {
    request.resume().on('end', () => response.end(JSON.stringify(request.headers)));
  };
});

interface Options {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
}

function begin(path: string, options: Options = {}) {
  const { tlsPort: port, host, authority } = balancer;
  const checkServerIdentity = () => undefined;
  return tlsRequest({ host, port, path, ca: authority.certificate, checkServerIdentity, agent, ...options });
}

async function ask(path: string, options: Options & { readonly body?: string } = {}) {
  const request = begin(path, options);
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, text: await text(response) };
}

/** Sends bytes on a clear connection, and reads until it is closed. */
async function exchange(bytes: string): Promise<string> {
  const socket = connect(balancer.clearPort, balancer.host);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // nginx does not read on after what it cannot read.
  socket.on('error', () => {});
  socket.write(bytes, 'latin1');
  await new Promise(resolve => socket.once('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}

describe('the request line', () => {
  it.each([
    '/',
    '/ping?',
    '//a///b/',
    '/a/stor/%7Efoo/%2e%2e/%2F//x',
    '/a/stor/./x/../y',
    '/a/stor/sp%20ace+plus%C3%A9?limit=1&marker=%2Fa%2F&&x',
    '/a/stor/(*)\'!;=@,:$&~[]{}|^`"<>\\',
    '/a/stor/x?y=/../../%00',
    '/_storage/127.0.0.1:1/x/y',
    '/malformed',
    '/unavailable',
    '//unavailable',
    '/a#b',
  ])('reaches webapi as it is: %s', async target => {
    const answer = await exchange(`GET ${target} HTTP/1.1\r\nhost: manta\r\nconnection: close\r\n\r\n`);
    expect(answer).toContain('200 OK');
    expect(upstream.seen).toEqual([`GET ${target}`]);
  });

  it.each(['GET', 'HEAD', 'OPTIONS', 'PUT', 'POST', 'DELETE', 'PROPFIND'])('keeps the method %s', async method => {
    expect((await ask('/a/stor', { method })).status).toBe(200);
    expect(upstream.seen).toEqual([`${method} /a/stor`]);
  });
});

describe('headers', () => {
  it('reach webapi with underscores, odd names and any host, and those between programs do not', async () => {
    const { text } = await ask('/a', {
      headers: {
        host: 'Manta.Example:1234',
        m_under_score: 'kept',
        "m-odd!#$%&'*+.^`|~": 'kept',
        'x-request-id': 'label/1',
        'x-manta-accel': '1',
        'x-manta-grant': 'forged',
        'x-manta-skip-node': 'forged',
      },
    });
    const seen = JSON.parse(text);
    expect(seen).toMatchObject({
      host: 'Manta.Example:1234',
      m_under_score: 'kept',
      "m-odd!#$%&'*+.^`|~": 'kept',
      'x-request-id': 'label/1',
    });
    expect(Object.keys(seen).filter(name => name.startsWith('x-manta-'))).toEqual(['x-manta-accel']);
  });

  it('name the client behind whatever it says itself, and that its transport is secure', async () => {
    const forged = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'http' };
    expect(JSON.parse((await ask('/a', { headers: forged })).text)).toMatchObject({
      'x-forwarded-for': '192.0.2.1, 127.0.0.1',
      'x-forwarded-proto': 'https',
    });
    const clear = await exchange('GET /a HTTP/1.1\r\nhost: x\r\nx-forwarded-proto: https\r\nconnection: close\r\n\r\n');
    expect(clear).toContain('"x-forwarded-proto":"http"');
  });

  it('get a request id where the client has sent none, and no second one where it has', async () => {
    expect(JSON.parse((await ask('/a')).text)['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
    const labelled = JSON.parse((await ask('/a', { headers: { 'request-id': 'mine' } })).text);
    expect(labelled['request-id']).toBe('mine');
    expect(labelled['x-request-id']).toBeUndefined();
  });

  it('of 60,000 bytes pass', async () => {
    const { text } = await ask('/a', { headers: { 'x-long': 'x'.repeat(60_000) } });
    expect(JSON.parse(text)['x-long']).toHaveLength(60_000);
  });

  it("of webapi's answer reach the client, what nginx would obey or replace among them", async () => {
    handle = (_, response) => {
      response.setHeader('server', 'Manta');
      response.setHeader('date', 'Thu, 01 Jan 2026 00:00:00 GMT');
      response.setHeader('m-note', 'x'.repeat(16_000));
      response.end('body');
    };
    const { headers, text } = await ask('/a');
    expect(headers).toMatchObject({ server: 'Manta', date: 'Thu, 01 Jan 2026 00:00:00 GMT' });
    expect(headers['m-note']).toHaveLength(16_000);
    expect(text).toBe('body');
  });
});

describe('bodies', () => {
  it('reach webapi while the client still sends them, and the client while webapi still sends them', async () => {
    handle = (request, response) => request.pipe(response);
    const request = begin('/a/stor/x', { method: 'PUT' });
    request.write('first');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(String((await once(response, 'data'))[0])).toBe('first');
    request.end('second');
    expect(await text(response)).toBe('second');
  });

  it('may be of any length', async () => {
    handle = (request, response) => request.once('data', () => response.end('begun'));
    const request = begin('/a/stor/x', { method: 'PUT', headers: { 'content-length': String(2 ** 45) } });
    request.on('error', () => {}).write('x');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(await text(response)).toBe('begun');
    request.destroy();
  });

  it('are asked for when the client waits for that', async () => {
    const request = begin('/a/stor/x', { method: 'PUT', headers: { expect: '100-continue', 'content-length': '4' } });
    request.flushHeaders();
    await once(request, 'continue');
    request.end('body');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(JSON.parse(await text(response)).expect).toBeUndefined();
  });

  it('that are answered before their end end the connection, with the whole answer', async () => {
    handle = (request, response) => {
      response.writeHead(403, { 'content-length': 6 }).end('denied');
      request.resume();
    };
    const answer = await exchange(
      `PUT /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n${'x'.repeat(100_000)}`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 403 [\s\S]*\r\n\r\ndenied$/);
  });
});

describe('answers of the load balancer itself', () => {
  it.each([
    ['a malformed request', 'GET\r\n\r\n'],
    ['two lengths', 'PUT /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'],
    ['a length and chunks', 'PUT /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['a broken escape', 'GET /a/%zz HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['a line that is too long', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
  ])('to %s: 400', async (_, bytes) => {
    const answer = await exchange(bytes);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toMatch(/\r\ncontent-type: application\/json\r\n/i);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(answer).toMatch(/\r\ncache-control: no-cache\r\n/i);
    expect(answer).toMatch(/\r\n\r\n\{"BadHTTPRequest": "Request was malformed"\}$/);
    expect(upstream.seen).toEqual([]);
  });

  it('to what webapi leaves unanswered: 503, to come again in a minute', async () => {
    handle = request => request.socket.destroy();
    const { status, headers, text } = await ask('/a', {
      method: 'PUT',
      body: 'x',
      headers: { 'x-request-id': 'mine' },
    });
    expect(status).toBe(503);
    expect(headers).toMatchObject({ 'retry-after': '60', 'cache-control': 'no-cache', connection: 'close' });
    expect(headers['x-request-id']).toBe('mine');
    expect(JSON.parse(text)).toEqual({ NoApiServersAvailable: expect.any(String) });
    expect(upstream.seen).toEqual(['PUT /a']);
  });

  it.each([400, 404, 500, 502, 503, 504])("never replace webapi's own: %d", async code => {
    handle = (_, response) => response.writeHead(code).end('{"code":"webapi"}');
    expect(await ask('/a')).toMatchObject({ status: code, text: '{"code":"webapi"}' });
  });
});

describe('TLS', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('is offered in version %s', async version => {
    expect(await handshake(version)).toBe(version);
  });

  it('is not offered in older versions', async () => {
    await expect(handshake('TLSv1.1')).rejects.toThrow();
  });
});

async function handshake(version: SecureVersion): Promise<string | null> {
  const { host, tlsPort: port, authority } = balancer;
  // Without this, OpenSSL itself would not offer the old ones.
  const ciphers = 'DEFAULT@SECLEVEL=0';
  const socket = tlsConnect({
    host,
    port,
    ca: authority.certificate,
    minVersion: version,
    maxVersion: version,
    ciphers,
  });
  try {
    await once(socket, 'secureConnect');
    return socket.getProtocol();
  } finally {
    socket.destroy();
  }
}

describe('the access log', () => {
  it('has a line for each request, without signatures, and the metrics count it', async () => {
    const before = balancer.lines.length;
    const counted = Number(/requests_total\{class="2xx"\} (\d+)/.exec(await balancer.metrics())?.[1]);
    await ask('/a/stor/x?expires=1&signature=c2VjcmV0&keyId=k', {
      headers: { 'x-request-id': 'me', 'user-agent': '"quoted"\\' },
    });
    await eventually(() => balancer.lines.length > before);
    expect(balancer.lines.at(-1)).toMatchObject({
      msg: 'access',
      name: 'loadbalancer',
      req_id: 'me',
      status: 200,
      method: 'GET',
      url: '/a/stor/x?expires=1&signature=…&keyId=k',
      userAgent: '"quoted"\\',
      remoteAddress: '127.0.0.1',
      upstream: `127.0.0.1:${upstream.backend.port}`,
      upstreamStatus: '200',
      completed: 'OK',
    });
    expect(JSON.stringify(balancer.lines)).not.toContain('c2VjcmV0');
    expect(await balancer.metrics()).toContain(`requests_total{class="2xx"} ${counted + 1}`);
  });

  it('stays whole where requests are huge', async () => {
    const before = balancer.lines.length;
    await ask(`/${'"'.repeat(8_000)}`, { headers: { 'user-agent': '\\'.repeat(8_000) } });
    await eventually(() => balancer.lines.length > before);
    expect(JSON.stringify(balancer.lines.at(-1)).length).toBeLessThan(4_096);
  });
});
