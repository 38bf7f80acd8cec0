import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { useApiServer } from '../apiserver-process/testing.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { connectKubernetes } from './connect.ts';
import type { Kubernetes } from './kubernetes.ts';
import { locateKubernetes } from './location.ts';
import { configMaps, namespaces } from './resources.ts';
import { type ApiProxy, createApiProxy } from './testing-proxy.ts';
import type { Exchange, TransportConfig } from './transport.ts';

const [first, second] = ['first-token', 'second-token'];
const server = useApiServer({
  tokens: [first, second].map(token => ({ token, user: { name: token, groups: ['system:masters'] } })),
});
const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function throughProxy(
  limits: Partial<TransportConfig> = {},
): Promise<{ kubernetes: Kubernetes; proxy: ApiProxy; exchanges: Exchange[] }> {
  const proxy = await createApiProxy(server());
  ending.push(proxy.close);
  const exchanges: Exchange[] = [];
  const observe = (exchange: Exchange) => void exchanges.push(exchange);
  const kubernetes = await connectKubernetes({ clock: systemClock, observe }, { location: proxy.location, ...limits });
  ending.push(kubernetes.close);
  return { kubernetes, proxy, exchanges };
}

const key = { namespace: 'default', name: 'kube-root-ca.crt' };
const codes = (exchanges: readonly Exchange[]) => exchanges.map(({ method, code }) => `${method} ${code}`);

describe('a client whose server has trouble', () => {
  it('asks again after 429, when the server wishes', async () => {
    const { kubernetes, proxy, exchanges } = await throughProxy();
    proxy.answer(/configmaps/, { status: 429, headers: { 'retry-after': '0' } }, 2);
    expect(await kubernetes.get(configMaps, key)).toBeUndefined();
    expect(codes(exchanges)).toEqual(['GET 429', 'GET 429', 'GET 404']);
  });

  it('says when to ask again where waiting does not fit into the deadline', async () => {
    const { kubernetes, proxy } = await throughProxy();
    proxy.answer(/configmaps/, { status: 429, headers: { 'retry-after': '60' } });
    await expect(kubernetes.get(configMaps, key)).rejects.toMatchObject({
      code: 'ApiTooManyRequests',
      retryAfterS: 60,
    });
  });

  it('gives up on a server that only ever says 429', async () => {
    const { kubernetes, proxy, exchanges } = await throughProxy({ maxRepeats: 3 });
    proxy.answer(/configmaps/, { status: 429, headers: { 'retry-after': '0' } }, 100);
    await expect(kubernetes.get(configMaps, key)).rejects.toMatchObject({ status: 429 });
    expect(exchanges).toHaveLength(4);
  });

  it('does not repeat 503 without being asked to', async () => {
    const { kubernetes, proxy, exchanges } = await throughProxy();
    proxy.answer(/configmaps/, { status: 503 });
    await expect(kubernetes.get(configMaps, key)).rejects.toMatchObject({ code: 'ApiServiceUnavailable' });
    expect(exchanges).toHaveLength(1);
  });

  it('reads again when a kept connection breaks, but never writes again by itself', async () => {
    const { kubernetes, proxy } = await throughProxy();
    proxy.loseAnswer(/GET .*configmaps/);
    expect(await kubernetes.get(configMaps, key)).toBeUndefined();
    proxy.loseAnswer(/POST/);
    const creating = kubernetes.create(namespaces, { metadata: { name: 'once' } });
    await expect(creating).rejects.toMatchObject({ code: 'ApiUnreachable' });
    expect(await kubernetes.get(namespaces, { name: 'once' })).toBeDefined();
    expect(proxy.requests.filter(line => line.startsWith('POST'))).toHaveLength(1);
  });

  it('tells that nobody listens, and goes on when somebody does', async () => {
    const { kubernetes, proxy, exchanges } = await throughProxy();
    await proxy.cut();
    await expect(kubernetes.get(configMaps, key)).rejects.toMatchObject({ code: 'ApiUnreachable' });
    await proxy.restore();
    expect(await kubernetes.get(configMaps, key)).toBeUndefined();
    expect(codes(exchanges)).toEqual(['GET <error>', 'GET 404']);
  });

  it('waits for an answer until its deadline and no longer', async () => {
    const { kubernetes, proxy } = await throughProxy();
    proxy.hold();
    const asked = kubernetes.get(configMaps, key, { timeoutMs: 200 });
    await expect(asked).rejects.toMatchObject({ code: 'ApiDeadline' });
    const watch = kubernetes.watch(configMaps, { resourceVersion: '0', signal: AbortSignal.timeout(200) });
    await expect(watch.next()).rejects.toMatchObject({ name: 'TimeoutError' });
    proxy.release();
    expect(await kubernetes.get(configMaps, key)).toBeUndefined();
  });

  it('ends with its signal while it waits for anything', async () => {
    const { kubernetes, proxy } = await throughProxy();
    const stop = (ms: number) => ({ signal: AbortSignal.timeout(ms) });
    proxy.answer(/configmaps/, { status: 429, headers: { 'retry-after': '20' } });
    await expect(kubernetes.get(configMaps, key, stop(200))).rejects.toMatchObject({ name: 'TimeoutError' });
    proxy.hold();
    await expect(kubernetes.get(configMaps, key, stop(200))).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(kubernetes.get(configMaps, key, { signal: AbortSignal.abort() })).rejects.toThrow('abort');
  });

  it('refuses an answer that is longer than its limit', async () => {
    const { kubernetes } = await throughProxy({ maxResponseBytes: 100 });
    await expect(kubernetes.list(namespaces)).rejects.toMatchObject({ code: 'ApiResponseTooLarge' });
  });

  it('understands answers that are not the server’s own', async () => {
    const { kubernetes, proxy } = await throughProxy();
    proxy.answer(/configmaps/, { status: 502, body: 'bad gateway' });
    await expect(kubernetes.get(configMaps, key)).rejects.toMatchObject({ code: 'ApiUnknown', status: 502 });
  });

  it('lets a watch be left before its end', async () => {
    const { kubernetes, proxy } = await throughProxy();
    const { resourceVersion } = await kubernetes.list(configMaps);
    await kubernetes.create(configMaps, { metadata: { namespace: 'default', name: 'left' } });
    for await (const { type } of kubernetes.watch(configMaps, { resourceVersion })) {
      expect(type).toBe('ADDED');
      break;
    }
    await eventually(() => expect(proxy.open()).toBe(0));
  });

  it('tells a watch that is reset from one that has ended', async () => {
    const { kubernetes, proxy } = await throughProxy();
    const { resourceVersion } = await kubernetes.list(configMaps);
    const watch = kubernetes.watch(configMaps, { resourceVersion });
    await kubernetes.create(configMaps, { metadata: { namespace: 'default', name: 'reset' } });
    await watch.next();
    const next = watch.next();
    proxy.reset();
    await expect(next).rejects.toMatchObject({ code: 'ApiUnreachable' });
  });

  it('breaks off a watch that the server neither feeds nor ends', async () => {
    const { kubernetes, proxy } = await throughProxy();
    const { resourceVersion } = await kubernetes.list(configMaps);
    const answer = await kubernetes.open({
      method: 'GET',
      path: `/api/v1/configmaps?watch=true&resourceVersion=${resourceVersion}`,
      silenceMs: 300,
    });
    proxy.hold();
    await expect(answer.body.toArray()).rejects.toMatchObject({ code: 'UND_ERR_BODY_TIMEOUT' });
  });
});

describe('credentials', () => {
  function serviceAccount(token: string): string {
    const dir = mkdtempSync(join(tmpdir(), 'manta-service-account-'));
    ending.push(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, 'ca.crt'), server().authority);
    writeFileSync(join(dir, 'namespace'), 'here\n');
    writeFileSync(join(dir, 'token'), `${token}\n`);
    return dir;
  }

  async function inCluster(dir: string, credentialsMs: number) {
    const { hostname: host, port } = new URL(server().url);
    const exchanges: Exchange[] = [];
    const kubernetes = await connectKubernetes(
      { clock: systemClock, observe: exchange => void exchanges.push(exchange) },
      { location: { kind: 'in-cluster', host, port, dir }, credentialsMs },
    );
    ending.push(kubernetes.close);
    return { kubernetes, exchanges };
  }

  async function whoAmI(kubernetes: Kubernetes): Promise<string> {
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' });
    const headers = { 'content-type': 'application/json' };
    const review = await kubernetes.json({ method: 'POST', path, headers, body });
    return (review as { status: { userInfo: { username: string } } }).status.userInfo.username;
  }

  it('of a service account are read again when they are old', async () => {
    const dir = serviceAccount(first as string);
    const { kubernetes } = await inCluster(dir, 0);
    expect([await whoAmI(kubernetes), kubernetes.namespace]).toEqual(['first-token', 'here']);
    writeFileSync(join(dir, 'token'), second as string);
    expect(await whoAmI(kubernetes)).toBe('second-token');
  });

  it('that are refused are read again at once, and refused for good only when they are the same', async () => {
    const dir = serviceAccount('nobody knows this one');
    const { kubernetes, exchanges } = await inCluster(dir, 3_600_000);
    await expect(whoAmI(kubernetes)).rejects.toMatchObject({ code: 'ApiUnauthorized' });
    writeFileSync(join(dir, 'token'), second as string);
    expect(await whoAmI(kubernetes)).toBe('second-token');
    expect(codes(exchanges)).toEqual(['POST 401', 'POST 401', 'POST 201']);
  });

  it('that go with another authority make new connections', async () => {
    const dir = serviceAccount(first as string);
    const { kubernetes } = await inCluster(dir, 0);
    writeFileSync(join(dir, 'ca.crt'), '');
    await expect(whoAmI(kubernetes)).rejects.toMatchObject({ code: 'ApiUnreachable' });
    writeFileSync(join(dir, 'ca.crt'), server().authority);
    expect(await whoAmI(kubernetes)).toBe('first-token');
  });

  it('are looked for where kubectl and pods have them', () => {
    const home = mkdtempSync(join(tmpdir(), 'manta-home-'));
    ending.push(() => rmSync(home, { recursive: true, force: true }));
    expect(locateKubernetes({ KUBECONFIG: '/a:/b', KUBERNETES_SERVICE_HOST: 'h' })).toEqual({
      kind: 'kubeconfig',
      files: ['/a', '/b'],
    });
    expect(locateKubernetes({ HOME: home, KUBERNETES_SERVICE_HOST: 'h', KUBERNETES_SERVICE_PORT: '6443' })).toEqual({
      kind: 'in-cluster',
      host: 'h',
      port: '6443',
      dir: '/var/run/secrets/kubernetes.io/serviceaccount',
    });
    expect(() => locateKubernetes({ HOME: home })).toThrow('which cluster');
    mkdirSync(join(home, '.kube'));
    writeFileSync(join(home, '.kube', 'config'), '');
    expect(locateKubernetes({ HOME: home })).toMatchObject({ kind: 'kubeconfig' });
  });

  it('of several kubeconfigs are merged, the first has the say, and a context can be chosen', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'manta-kubeconfig-'));
    ending.push(() => rmSync(dir, { recursive: true, force: true }));
    const own = server().kubeconfig.replaceAll('manta-test', 'own');
    writeFileSync(
      join(dir, 'a'),
      'apiVersion: v1\nkind: Config\ncurrent-context: none\ncontexts: []\nclusters: []\nusers: []\n',
    );
    writeFileSync(join(dir, 'b'), own);
    const files = [join(dir, 'a'), join(dir, 'b')];
    const missing = connectKubernetes({ clock: systemClock }, { location: { kind: 'kubeconfig', files } });
    await expect(missing).rejects.toMatchObject({ code: 'KubeconfigInvalid' });
    const location = { kind: 'kubeconfig', files, context: 'own' } as const;
    const kubernetes = await connectKubernetes({ clock: systemClock }, { location });
    ending.push(kubernetes.close);
    expect([await whoAmI(kubernetes), kubernetes.namespace]).toEqual(['kubernetes-admin', 'default']);
  });
});
