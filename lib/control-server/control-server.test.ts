import { request as httpRequest } from 'node:http';
import express, { type Router } from 'express';
import { pino } from 'pino';
import { Counter, Registry } from 'prom-client';
import { request } from 'undici';
import { MantaError } from '../errors/manta-error.ts';
import { type ControlServer, createControlServer } from './control-server.ts';

let server: ControlServer;
let url: string;
let isReady: boolean;
let isLive: boolean;
let arrived: () => void;
let arrival: Promise<void>;

beforeEach(async () => {
  isReady = true;
  isLive = true;
  arrival = new Promise(resolve => {
    arrived = resolve;
  });
  const registry = new Registry();
  new Counter({ name: 'manta_test_fish_total', help: 'fish', registers: [registry] }).inc(7);
  server = createControlServer(
    {
      logger: pino({ level: 'silent' }),
      registry,
      isReady: () => isReady,
      isLive: () => isLive,
      upgrade: (incoming, socket) => {
        if (incoming.headers.upgrade !== 'whale') return false;
        socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: whale\r\n\r\nsong');
        return true;
      },
      routers: [['/sea', theSea()]],
    },
    { host: '127.0.0.1', port: 0, drainMs: 100 },
  );
  url = (await server.listen()).url;
});
afterEach(() => server.close());

function theSea(): Router {
  const router = express.Router();
  router.use(express.json({ limit: '1kb' }));
  router.post('/fish', (incoming, response) => {
    response.status(201).json(incoming.body);
  });
  router.get('/retired', () => {
    throw new MantaError('NodeRetired', 'it swims no more');
  });
  router.get('/wreck', async () => {
    throw new Error('the password is hunter2');
  });
  router.get('/deep', () => arrived());
  router.get('/fish/:name', (_, response) => response.end());
  return router;
}

async function call(path: string, body?: string) {
  const response = await request(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.statusCode, text: await response.body.text() };
}

describe('the control server', () => {
  it('is alive, and ready when the program is', async () => {
    expect(await call('/livez')).toEqual({ status: 200, text: 'ok\n' });
    expect(await call('/readyz')).toEqual({ status: 200, text: 'ok\n' });
    isReady = false;
    expect(await call('/livez')).toEqual({ status: 200, text: 'ok\n' });
    expect((await call('/readyz')).status).toBe(503);
  });

  it('is dead when the program says that only a restart helps', async () => {
    isLive = false;
    expect((await call('/livez')).status).toBe(503);
  });

  it('hands over connections that ask for an upgrade the program knows, and refuses others', async () => {
    const outcomeOf = (upgrade: string) =>
      new Promise((resolve, reject) => {
        const asking = httpRequest(url, { headers: { connection: 'Upgrade', upgrade } });
        asking.on('upgrade', (_, socket, head) => {
          socket.destroy();
          resolve(head.toString());
        });
        asking.on('response', answer => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asking.on('error', reject);
        asking.end();
      });
    expect(await outcomeOf('whale')).toBe('song');
    expect(await outcomeOf('shark')).toBe(404);
  });

  it('shows the metrics of its registry', async () => {
    expect((await call('/metrics')).text).toContain('manta_test_fish_total 7');
  });

  it('serves the routers it is given', async () => {
    expect(await call('/sea/fish', '{"kind":"ray"}')).toEqual({ status: 201, text: '{"kind":"ray"}' });
  });

  it.each([
    ['an error of the program', '/sea/retired', undefined, 403, '{"code":"NodeRetired","message":"it swims no more"}'],
    ['a path that does not exist', '/lake', undefined, 404, '"code":"ResourceNotFound"'],
    ['a body that is no JSON', '/sea/fish', '{', 400, '"code":"InvalidContent"'],
    ['a body that is too long', '/sea/fish', JSON.stringify('x'.repeat(2_000)), 413, '"code":"PayloadTooLarge"'],
    ['a malformed path', '/sea/fish/%zz', undefined, 400, '"code":"BadRequest"'],
  ])('answers %s with its code', async (_, path, body, status, text) => {
    const answer = await call(path, body);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
  });

  it('keeps what else went wrong to itself', async () => {
    expect(await call('/sea/wreck')).toEqual({
      status: 500,
      text: '{"code":"InternalError","message":"an unexpected error occurred"}',
    });
  });

  it('cuts requests that outlast its end, and may be closed twice', async () => {
    const hanging = httpRequest(`${url}/sea/deep`).end();
    const broken = new Promise(resolve => hanging.once('error', resolve));
    await arrival;
    await server.close();
    expect(await broken).toMatchObject({ code: 'ECONNRESET' });
    await server.close();
    await expect(call('/livez')).rejects.toThrow();
  });

  it('says so when its port is taken', async () => {
    const second = createControlServer(
      { logger: pino({ level: 'silent' }), registry: new Registry(), isReady: () => true },
      { host: '127.0.0.1', port: Number(new URL(url).port), drainMs: 100 },
    );
    await expect(second.listen()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await second.close();
  });
});
