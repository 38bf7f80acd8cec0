import { useApiServer } from '../../lib/apiserver-process/testing.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { type ConfigMap, configMaps, namespaces } from '../../lib/kubernetes/resources.ts';
import { type ApiProxy, createApiProxy } from '../../lib/kubernetes/testing-proxy.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { type Cache, createCache } from './cache.ts';
import type { Informer } from './informer.ts';
import { silent, testMetrics } from './testing.ts';

const server = useApiServer();
let direct: Kubernetes;
let through: Kubernetes;
let proxy: ApiProxy;
let cache: Cache;
let informer: Informer<ConfigMap>;
let told: string[];
let count = 0;
let namespace: string;

beforeAll(async () => {
  const location = { kind: 'kubeconfig', files: [server().kubeconfigFile] } as const;
  direct = await connectKubernetes({ clock: systemClock }, { location });
});
afterAll(() => direct.close());

beforeEach(async () => {
  count += 1;
  namespace = `test-${count}`;
  await direct.create(namespaces, { metadata: { name: namespace } });
  proxy = await createApiProxy(server());
  through = await connectKubernetes({ clock: systemClock }, { location: proxy.location });
  const { metrics } = testMetrics();
  cache = createCache(
    { kubernetes: through, clock: systemClock, random: Math.random, logger: silent, metrics: metrics.reflector },
    { fieldManagers: [], reflector: { pageSize: 3, backoff: { baseMs: 50, maxMs: 500 } } },
  );
  informer = cache.informer(configMaps, { namespace });
  told = [];
  informer.subscribe(({ kind, object }) => told.push(`${kind} ${object.metadata.name}`));
});
afterEach(async () => {
  await cache.stop();
  await through.close();
  await proxy.close();
});

const make = (name: string, data: Record<string, string> = {}) =>
  direct.create(configMaps, { metadata: { namespace, name }, data });
const change = (name: string, value: string) =>
  direct.patch(configMaps, { namespace, name }, { type: 'merge', body: { data: { value } } });
const value = (name: string) => informer.get({ namespace, name })?.data?.value;
const lists = () => proxy.requests.filter(line => line.includes('limit=')).length;
const watches = () => proxy.requests.filter(line => line.includes('watch=true')).length;

async function start(): Promise<void> {
  cache.start();
  await eventually(() => expect(cache.hasSynced() && watches() > 0 && proxy.open() > 0).toBe(true));
}

describe('a cache that a watch keeps current', () => {
  it('holds what is there, page by page, and then every change', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await make(name);
    await start();
    expect(informer.list().map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c', 'd']);
    expect(lists()).toBe(2);
    await change('a', '1');
    await direct.delete(configMaps, { namespace, name: 'b' });
    await eventually(() => expect([value('a'), informer.size()]).toEqual(['1', 3]));
    expect(told).toEqual(['added a', 'added b', 'added c', 'added d', 'updated a', 'deleted b']);
    expect(cache.informer(configMaps, { namespace })).toBe(informer);
  });

  it('goes on where it was when its connection is reset, again and again, and lists no more', async () => {
    await make('a');
    await start();
    for (let round = 1; round <= 5; round += 1) {
      proxy.reset();
      await change('a', String(round));
      await eventually(() => expect(value('a')).toBe(String(round)));
    }
    expect([lists(), watches() > 5]).toEqual([1, true]);
  });

  it('misses nothing that happens while the network is away, and answers from memory meanwhile', async () => {
    await make('a');
    await make('b');
    await start();
    await proxy.cut();
    await change('a', 'later');
    await direct.delete(configMaps, { namespace, name: 'b' });
    await make('c');
    expect([value('a'), informer.size(), informer.hasSynced()]).toEqual([undefined, 2, true]);
    await proxy.restore();
    await eventually(() => expect([value('a'), informer.size()]).toEqual(['later', 2]));
    expect(lists()).toBe(1);
    expect(told.slice(2)).toEqual(['updated a', 'deleted b', 'added c']);
  });

  const expired = { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410, message: 'too old' };

  it('lists again when its version is no longer kept, told by the status of the answer', async () => {
    await make('a');
    await make('b');
    await start();
    proxy.answer(/watch=true/, { status: 410, body: expired });
    await proxy.cut();
    await direct.delete(configMaps, { namespace, name: 'b' });
    await proxy.restore();
    await eventually(() => expect(informer.size()).toBe(1));
    expect([lists(), told.at(-1)]).toEqual([2, 'deleted b']);
  });

  it('lists again when its version is no longer kept, told by an event', async () => {
    await make('a');
    await start();
    proxy.answer(/watch=true/, { status: 200, body: { type: 'ERROR', object: expired } });
    proxy.reset();
    await eventually(() => expect(lists()).toBe(2));
    await change('a', '1');
    await eventually(() => expect(value('a')).toBe('1'));
  });

  it('begins a list anew when it expires between its pages', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await make(name);
    proxy.answer(/continue=/, { status: 410, body: expired });
    await start();
    expect([informer.size(), lists()]).toEqual([4, 4]);
  });

  it('waits longer with every refusal, so that a server in trouble is not asked in a loop', async () => {
    proxy.answer(/configmaps/, { status: 500 }, 5);
    const from = performance.now();
    cache.start();
    await eventually(() => expect(cache.hasSynced()).toBe(true));
    // 50, 100, 200, 400, 500 ms, each at least half of it.
    expect(performance.now() - from).toBeGreaterThan(600);
    expect(lists()).toBe(6);
  });

  it('does not ask in a loop when every watch ends at once', async () => {
    proxy.answer(/watch=true/, { status: 200 }, 1_000);
    cache.start();
    await eventually(() => expect(watches()).toBe(4));
    const before = watches();
    await eventually(() => expect(watches()).toBeGreaterThan(before));
    expect(watches() - before).toBeLessThan(3);
    expect(lists()).toBe(1);
  });

  it('survives a killed API server, which remembers no changes from before its start', async () => {
    await make('a');
    await make('b');
    await start();
    await direct.delete(configMaps, { namespace, name: 'b' });
    await server().process.kill();
    await server().process.start();
    await change('a', 'after');
    await eventually(() => expect([value('a'), informer.size()]).toEqual(['after', 1]), 20_000);
  });

  it('stops with its watches, also while it waits', async () => {
    await proxy.cut();
    cache.start();
    await cache.stop();
    await proxy.restore();
    expect(cache.tasks().map(task => task.status().running)).toEqual([false]);
  });
});
