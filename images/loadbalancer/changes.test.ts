import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request as tlsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { X509CertificateGenerator } from '@peculiar/x509';
import { createSelfSigned, type KeyedCertificate } from '../../lib/certificates/issue.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { createTestService, type TestService } from './testing/service.ts';
import { type RunningLoadbalancer, startLoadbalancer } from './testing/start.ts';
import { startUpstream, type Upstream } from './testing/upstream.ts';

/** What happens around requests: backends and certificates come and go, nginx is reloaded and stopped. */
const followed = { kind: 'service', namespace: 'manta', service: 'webapi', portName: 'http' } as const;
let upstreams: Upstream[];
let service: TestService;
let balancer: RunningLoadbalancer;
const agents: Agent[] = [];

async function start(count: number, timers: Parameters<typeof startLoadbalancer>[0]['timers'] = {}): Promise<void> {
  upstreams = await Promise.all(Array.from({ length: count }, () => startUpstream()));
  service = createTestService(upstreams.map(({ backend }) => backend));
  balancer = await startLoadbalancer({ backends: followed, timers }, { kubernetes: service.kubernetes });
}
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy();
  await balancer.close();
  for (const upstream of upstreams) await upstream.close();
});

function newAgent(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  return agent;
}

function begin(agent: Agent, method = 'GET', path = '/') {
  const { tlsPort: port, host, authority } = balancer;
  return tlsRequest({ host, port, method, path, agent, ca: authority.certificate });
}

async function ask(agent: Agent, method = 'GET'): Promise<{ status: number | undefined; text: string }> {
  const request = begin(agent, method);
  request.end(method === 'PUT' ? 'body' : undefined);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return { status: response.statusCode, text: await text(response) };
}

/** Clients that ask without a pause, each on a connection that it keeps as long as it may. */
function startLoad(clients: number) {
  const failures: string[] = [];
  let answers = 0;
  let isOver = false;
  const running = Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const agent = newAgent();
      while (!isOver) {
        try {
          const { status } = await ask(agent, client % 2 === 0 ? 'GET' : 'PUT');
          if (status !== 200) failures.push(`status ${status}`);
          answers += 1;
        } catch (error) {
          failures.push(String(error));
        }
      }
    }),
  );
  return {
    failures,
    answers: () => answers,
    async stop() {
      isOver = true;
      await running;
    },
  };
}

/** Subject and serial of what a new connection is shown. */
async function shown(): Promise<{ subject: string; serial: string }> {
  const socket = connect({ host: balancer.host, port: balancer.tlsPort, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { subject, serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return { subject: String(subject.CN), serial: serialNumber };
}

/** One in good order, whose key OpenSSL finds too short to serve. */
async function aWeakCertificate(): Promise<KeyedCertificate> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024 };
  const publicExponent = Uint8Array.of(1, 0, 1);
  const keys = await webcrypto.subtle.generateKey({ ...algorithm, publicExponent }, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=weak',
    signingAlgorithm: algorithm,
    keys,
    notAfter: new Date(Date.now() + 86_400_000),
  });
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString();
  return { certificate: certificate.toString('pem'), key };
}

const reloads = async () => Number(/reloads_total\{outcome="done"\} (\d+)/.exec(await balancer.metrics())?.[1] ?? 0);

describe('backends', () => {
  it('that come get requests, those that go get none, and no request fails meanwhile', async () => {
    await start(3);
    await balancer.ready();
    const load = startLoad(8);
    const [first, second, third] = upstreams.map(({ backend }) => backend);
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were started');
    for (const list of [[second, third], [third], [first], [first, second], [second], [second, third]]) {
      const before = await reloads();
      const answered = load.answers();
      service.set(list);
      await eventually(async () => (await reloads()) > before);
      await eventually(() => load.answers() > answered + 100);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    upstreams[0]?.seen.splice(0);
    await ask(newAgent());
    expect(upstreams[0]?.seen).toEqual([]);
  }, 60_000);

  it('stay as they were while the API server is away, and follow it again when it is back', async () => {
    await start(2);
    await balancer.ready();
    service.away(true);
    expect(await ask(newAgent())).toMatchObject({ status: 200 });
    expect(await balancer.status('/readyz')).toBe(200);
    const last = upstreams[1]?.backend;
    service.set(last === undefined ? [] : [last]);
    service.away(false);
    await eventually(async () => (await reloads()) === 2);
    expect(await ask(newAgent())).toMatchObject({ text: String(last?.port) });
  }, 60_000);

  it('that are dead are passed over: reads go on at once, writes when it is known', async () => {
    await start(2);
    await balancer.ready();
    await upstreams[0]?.close();
    const agent = newAgent();
    for (let i = 0; i < 20; i += 1) expect((await ask(agent)).status).toBe(200);
    for (let i = 0; i < 20; i += 1) expect((await ask(agent, 'PUT')).status).toBe(200);
    await eventually(async () => expect(await balancer.metrics()).toContain('backends{state="unhealthy"} 1'));
  }, 60_000);

  it('that break off before they answer: a read is tried elsewhere, a write never', async () => {
    await start(2);
    await balancer.ready();
    for (const { server } of upstreams) server.prependListener('request', request => request.socket.destroy());
    const tries = () => upstreams.flatMap(({ seen }) => seen).length;
    expect((await ask(newAgent(), 'DELETE')).status).toBe(503);
    expect(tries()).toBe(1);
    expect((await ask(newAgent())).status).toBe(503);
    expect(tries()).toBeGreaterThan(2);
  }, 60_000);

  it('that are all gone leave a 503 and a load balancer that stays ready', async () => {
    await start(1);
    await balancer.ready();
    service.set([]);
    await eventually(async () => expect((await ask(newAgent())).status).toBe(503));
    expect(await balancer.status('/readyz')).toBe(200);
    expect(await balancer.metrics()).toContain('backends{state="healthy"} 0');
  }, 60_000);

  it('that have never been there keep it from getting ready', async () => {
    await start(0);
    await eventually(async () => (await reloads()) === 1);
    expect(await balancer.status('/readyz')).toBe(503);
    expect(await balancer.status('/livez')).toBe(200);
    upstreams.push(await startUpstream());
    service.set(upstreams.map(({ backend }) => backend));
    await balancer.ready();
  }, 60_000);
});

describe('the certificate', () => {
  it('is shown anew on new connections after it changed, while a download goes on', async () => {
    await start(1);
    await balancer.ready();
    const [upstream] = upstreams;
    const { promise, resolve: finish } = Promise.withResolvers<void>();
    upstream?.server.removeAllListeners('request').on('request', (request, response) => {
      if (request.url !== '/long') return void response.end('ok');
      response.write('begun ');
      promise.then(() => response.end('ended'));
    });
    const download = begin(newAgent(), 'GET', '/long').end();
    const [response] = (await once(download, 'response')) as [IncomingMessage];
    const body = text(response);
    const renewed = await balancer.issue('renewed');
    balancer.install(renewed);
    await eventually(async () => expect((await shown()).subject).toBe('renewed'));
    finish();
    expect(await body).toBe('begun ended');
    const said = await (await fetch(`${balancer.controlUrl}/internal/v1/certificate`)).json();
    expect(said).toMatchObject({ served: { subjects: ['127.0.0.1'], serial: (await shown()).serial } });
  }, 60_000);

  it('that cannot be served is said to be so, and the last good one stays', async () => {
    await start(1);
    await balancer.ready();
    const before = await shown();
    balancer.install({ ...(await balancer.issue('other')), certificate: 'garbage' });
    await eventually(async () => expect(await balancer.metrics()).toContain('certificate_valid 0'));
    expect(await shown()).toEqual(before);
    expect(await balancer.status('/readyz')).toBe(200);
    const said = await (await fetch(`${balancer.controlUrl}/internal/v1/certificate`)).json();
    expect(said).toMatchObject({ served: { serial: before.serial }, refused: { fault: 'Unreadable' } });
    balancer.install(await balancer.issue('good again'));
    await eventually(async () => expect((await shown()).subject).toBe('good again'));
    expect(await balancer.metrics()).toContain('certificate_valid 1');
  }, 60_000);

  it('that nginx alone finds fault with keeps neither the last good one nor new backends from being used', async () => {
    await start(1);
    await balancer.ready();
    const before = await shown();
    balancer.install(await aWeakCertificate());
    await eventually(async () => expect(await balancer.metrics()).toContain('certificate_valid 0'));
    upstreams.push(await startUpstream());
    const added = upstreams.slice(1).map(({ backend }) => backend);
    service.set(added);
    await eventually(async () => expect((await ask(newAgent())).text).toBe(String(added[0]?.port)));
    expect(await shown()).toEqual(before);
  }, 60_000);

  it('tells how long it is good for', async () => {
    await start(1);
    balancer.install(
      await createSelfSigned({ subject: { commonName: 'short' }, usages: ['server'], days: 2 }, Date.now()),
    );
    await eventually(async () => {
      const left = Number(/certificate_expiry_seconds (\d+)/.exec(await balancer.metrics())?.[1]);
      expect(left).toBeGreaterThan(2 * 86_400 - 600);
      expect(left).toBeLessThanOrEqual(2 * 86_400);
    });
  }, 60_000);
});
