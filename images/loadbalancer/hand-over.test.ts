import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { Agent, get, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { aKeyPair } from '../../lib/auth/testing.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { createTestClient, type TestClient } from '../webapi/testing/client.ts';
import { startRegion, type TestRegion } from '../webapi/testing/region.ts';
import { type RunningLoadbalancer, startLoadbalancer } from './testing/start.ts';

/** Reads whose bytes go from the storage node to nginx: metadata.md §14.7. A real region, nothing is a stand-in. */
let region: TestRegion;
let balancer: RunningLoadbalancer;
let direct: TestClient;
let balanced: TestClient;
const agent = new Agent({ keepAlive: true });
const BODY = randomBytes(300_000);

beforeAll(async () => {
  region = await startRegion({ trustedProxies: ['127.0.0.1'] });
  const { port } = new URL(region.url);
  const backends = { kind: 'fixed' as const, list: [{ address: '127.0.0.1', port: Number(port) }] };
  balancer = await startLoadbalancer({ backends });
  await balancer.ready();
  const pair = aKeyPair('p256');
  direct = await region.account({ login: 'reader', pair });
  balanced = createTestClient(balancer.clearUrl, agent, 'reader', pair);
  await direct.put('/reader/stor/o', BODY, {
    'content-type': 'image/png',
    'm-note': 'na\u00efve \u00e9',
    'm-long': 'x'.repeat(3_000),
    'content-disposition': 'attachment; filename="x.png"',
    'cache-control': 'max-age=60',
    'access-control-allow-origin': '*',
    'surrogate-key': 'a b',
    'role-tag': '',
  });
  await direct.put('/reader/stor/empty', '');
}, 60_000);
afterAll(async () => {
  agent.destroy();
  await balancer.close();
  await region.close();
});
beforeEach(() => {
  balancer.lines.length = 0;
});

/** What differs from one answer to the next. */
const PASSING = ['date', 'x-request-id', 'x-response-time', 'connection', 'keep-alive'];

async function answerTo(client: TestClient, path: string, options: { method: string; headers: OutgoingHttpHeaders }) {
  const { status, headers, body } = await client.request(options.method, path, { headers: options.headers });
  const lasting = Object.entries(headers).filter(([name]) => !PASSING.includes(name));
  return { status, headers: Object.fromEntries(lasting), body };
}

/** The access log's line of the only request. */
async function lineOf(): Promise<Record<string, unknown>> {
  await eventually(() => balancer.lines.length === 1);
  return balancer.lines[0] ?? {};
}

describe('a read that is handed over', () => {
  it.each([
    ['whole', { method: 'GET', headers: {} }],
    ['in part', { method: 'GET', headers: { range: 'bytes=1000-1999' } }],
    ['from another origin', { method: 'GET', headers: { origin: 'https://example.com' } }],
    ['under a condition that holds', { method: 'GET', headers: { 'if-none-match': '"other"' } }],
  ])('gets the answer that webapi itself would give: %s', async (_, options) => {
    const expected = await answerTo(direct, '/reader/stor/o', options);
    expect(expected.status).toBeLessThan(300);
    expect(await answerTo(balanced, '/reader/stor/o', options)).toEqual(expected);
    const line = await lineOf();
    expect(line.storageNode).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(Number(line.bytesOut)).toBe(expected.body.length);
  });

  it.each([
    ['a HEAD', '/reader/stor/o', { method: 'HEAD', headers: {} }],
    ['an empty object', '/reader/stor/empty', { method: 'GET', headers: {} }],
    ['a range outside', '/reader/stor/o', { method: 'GET', headers: { range: 'bytes=900000-' } }],
    ['a condition that fails', '/reader/stor/o', { method: 'GET', headers: { 'if-match': '"other"' } }],
    ['a listing', '/reader/stor', { method: 'GET', headers: {} }],
    ['nothing', '/reader/stor/none', { method: 'GET', headers: {} }],
  ])('is none of these: %s', async (_, path, options) => {
    const expected = await answerTo(direct, path, options);
    expect(await answerTo(balanced, path, options)).toEqual(expected);
    expect((await lineOf()).storageNode).toBe('');
  });

  it('is recorded by webapi with what the client gets', async () => {
    const label = 'recorded-once';
    const { headers } = await balanced.request('GET', '/reader/stor/o', { headers: { 'x-request-id': label } });
    expect(headers['x-request-id']).toBe(label);
    const records = () => region.log.filter(({ req_id }) => req_id === label);
    await eventually(() => records().length === 1);
    expect(records()[0]).toMatchObject({
      delegated: true,
      bytesOut: String(BODY.length),
      res: { statusCode: 200, headers: { 'content-type': 'image/png' } },
    });
    expect(JSON.stringify(region.log)).not.toContain('Bearer');
    await lineOf();
  });

  it('is not handed over for a client that asks for that itself', async () => {
    const headers = { 'x-manta-accel': '1', 'x-manta-skip-node': 'x' };
    const answer = await balanced.request('GET', '/reader/stor/o', { headers });
    expect(answer.body.equals(BODY)).toBe(true);
    expect(Object.keys(answer.headers).filter(name => /^x-(accel|manta)-/.test(name))).toEqual([]);
    expect((await lineOf()).storageNode).not.toBe('');
  });

  it('that its client breaks off is corrected in the log', async () => {
    const large = randomBytes(64_000_000);
    await direct.put('/reader/stor/large', large);
    const label = 'broken-off';
    const request = get(`${balancer.clearUrl}/reader/stor/large`, {
      headers: { ...balanced.credentials(), 'x-request-id': label },
    });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'data');
    request.destroy();
    const corrections = () => balancer.log.map(line => JSON.parse(line)).filter(({ schema }) => schema === 'edge/1');
    await eventually(() => corrections().length === 1);
    expect(corrections()[0]).toMatchObject({ audit: true, seq: 1, req_id: label, statusCode: 499, instance: 'webapi' });
    expect(Number(corrections()[0].bytesOut)).toBeLessThan(large.length);
  });
});

describe('a copy that cannot be read', () => {
  const filesOf = async (volume: string) => {
    const found = await readdir(volume, { recursive: true, withFileTypes: true });
    return found.filter(entry => entry.isFile() && /^[0-9a-f-]{36}$/.test(entry.name));
  };

  it('because it is gone is left out', async () => {
    await direct.put('/reader/stor/two', BODY);
    const { headers } = await direct.request('HEAD', '/reader/stor/two');
    expect(headers['durability-level']).toBe('2');
    const objectId = region.log.findLast(({ operation }) => operation === 'putobject')?.objectId as string;
    let removed = 0;
    for (const volume of region.volumes) {
      const file = (await filesOf(volume)).find(({ name }) => name === objectId);
      if (file === undefined || removed === 1) continue;
      await rm(join(file.parentPath, file.name));
      removed += 1;
    }
    expect(removed).toBe(1);
    for (let i = 0; i < 12; i += 1) {
      const answer = await balanced.request('GET', '/reader/stor/two');
      expect(answer.status).toBe(200);
      expect(answer.body.equals(BODY)).toBe(true);
    }
  });

  it('on any node is a 503 of webapi', async () => {
    await direct.put('/reader/stor/lost', BODY);
    const objectId = region.log.findLast(({ operation }) => operation === 'putobject')?.objectId as string;
    for (const volume of region.volumes) {
      for (const file of await filesOf(volume)) if (file.name === objectId) await rm(join(file.parentPath, file.name));
    }
    const answer = await balanced.request('GET', '/reader/stor/lost');
    expect(answer).toMatchObject({ status: 503, code: 'ServiceUnavailable' });
  });

  it('because its node is down is left out', async () => {
    await region.nodes[0]?.close();
    for (let i = 0; i < 12; i += 1) {
      const answer = await balanced.request('GET', '/reader/stor/o');
      expect(answer.status).toBe(200);
      expect(answer.body.equals(BODY)).toBe(true);
    }
  });
});
