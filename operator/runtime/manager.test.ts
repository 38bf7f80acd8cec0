import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { request } from 'undici';
import { useApiServer } from '../../lib/apiserver-process/testing.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { type ConfigMap, configMaps, leases, namespaces } from '../../lib/kubernetes/resources.ts';
import { createApiProxy } from '../../lib/kubernetes/testing-proxy.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { endsWithParent } from '../../lib/lifecycle/ends-with-parent.ts';
import { type Cache, createCache } from './cache.ts';
import { silent, testMetrics } from './testing.ts';
import { createTestOperator, type TestOperator } from './testing-operator.ts';
import { installThings, things } from './testing-things.ts';

const server = useApiServer();
const election = { leaseMs: 2_000, renewDeadlineMs: 1_200, retryMs: 100 };
const ending: (() => unknown)[] = [];
let kubernetes: Kubernetes;
let count = 0;
let namespace: string;

beforeAll(async () => {
  const location = { kind: 'kubeconfig', files: [server().kubeconfigFile] } as const;
  kubernetes = await connectKubernetes({ clock: systemClock }, { location });
  await installThings(kubernetes);
}, 120_000);
afterAll(() => kubernetes.close());
beforeEach(async () => {
  count += 1;
  namespace = `test-${count}`;
  await kubernetes.create(namespaces, { metadata: { name: namespace } });
});
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

const make = (name: string, size: number) =>
  kubernetes.create(things, { metadata: { namespace, name }, spec: { size } });
const resize = (name: string, size: number) =>
  kubernetes.patch(things, { namespace, name }, { type: 'merge', body: { spec: { size } } });
const child = async (name: string) => (await kubernetes.get(configMaps, { namespace, name }))?.data;
const holder = async () => (await kubernetes.get(leases, { namespace, name: 'test-operator' }))?.spec?.holderIdentity;

describe('a manager', () => {
  async function throughProxy(identity: string, withElection = true) {
    const proxy = await createApiProxy(server());
    ending.push(proxy.close);
    const exits: string[] = [];
    const operator: TestOperator = await createTestOperator(
      { logger: silent, exit: () => exits.push(identity) },
      { location: proxy.location, namespace, identity, ...(withElection ? { election } : {}) },
    );
    ending.push(operator.manager.stop);
    return { ...operator, proxy, exits };
  }

  it('is alive from its start, ready when its caches have synced, and acts when it is elected', async () => {
    await make('a', 1);
    const { manager, proxy, registry } = await throughProxy('one');
    await proxy.cut();
    const { url } = await manager.start();
    const status = async (path: string) => (await request(`${url}${path}`)).statusCode;
    expect([await status('/livez'), await status('/readyz'), manager.isLeader()]).toEqual([200, 503, false]);
    await expect(manager.kubernetes.create(namespaces, { metadata: { name: 'x' } })).rejects.toMatchObject({
      code: 'NotLeader',
    });
    await proxy.restore();
    await eventually(async () => expect(await child('a')).toEqual({ size: '1', by: 'one' }));
    expect([await status('/livez'), await status('/readyz'), manager.isLeader()]).toEqual([200, 200, true]);
    const text = await registry.metrics();
    for (const line of [
      'controller_runtime_reconcile_total{controller="thing",result="success"}',
      'workqueue_depth{name="thing",controller="thing",priority="high"} 0',
      'leader_election_master_status{name="test-operator"} 1',
      /rest_client_requests_total{code="200",method="GET",host="127.0.0.1:\d+"}/,
    ]) {
      expect(text).toMatch(line instanceof RegExp ? line : new RegExp(line.replace(/[{}]/g, '\\$&')));
    }
  });

  it('says nothing to the server when there is nothing to do, but that its lease is alive', async () => {
    for (let i = 0; i < 20; i += 1) await make(`t${i}`, i);
    const { manager, proxy } = await throughProxy('one');
    await manager.start();
    await eventually(async () => {
      const { items } = await kubernetes.list(things, { namespace });
      expect(items.every(({ spec, status }) => status?.size === spec.size)).toBe(true);
    });
    const { resourceVersion } = await kubernetes.list(things, { namespace });
    const from = proxy.requests.length;
    await eventually(() => expect(proxy.requests.length - from).toBeGreaterThan(15));
    const idle = proxy.requests.slice(from).filter(line => !/^PUT .*\/leases\/test-operator$/.test(line));
    expect(idle).toEqual([]);
    // Reconciled from scratch by another life, it still says nothing.
    await manager.stop();
    const next = await throughProxy('one');
    await next.manager.start();
    await eventually(async () => {
      const ended = await next.registry.getSingleMetric('controller_runtime_reconcile_total')?.get();
      expect(ended?.values.find(({ labels }) => labels.result === 'success')?.value).toBeGreaterThanOrEqual(20);
    });
    const writes = next.proxy.requests.filter(line => !line.startsWith('GET') && !line.includes('/leases'));
    expect([
      writes,
      (await kubernetes.list(things, { namespace, limit: 1 })).resourceVersion >= resourceVersion,
    ]).toEqual([[], true]);
  });

  it('acts on a change of a child, and lets go of what is deleted', async () => {
    await make('a', 1);
    const { manager } = await throughProxy('one', false);
    await manager.start();
    await eventually(async () => expect(await child('a')).toEqual({ size: '1', by: 'one' }));
    await kubernetes.delete(configMaps, { namespace, name: 'a' });
    await eventually(async () => expect(await child('a')).toEqual({ size: '1', by: 'one' }));
    await kubernetes.delete(things, { namespace, name: 'a' });
    await eventually(async () => expect(await kubernetes.get(things, { namespace, name: 'a' })).toBeUndefined());
    expect(await child('a')).toBeUndefined();
  });

  it('gets there through refusals, conflicts, lost answers, resets and a killed server', async () => {
    const { manager, proxy, registry } = await throughProxy('one', false);
    await manager.start();
    const faults = [
      () => proxy.answer(/PATCH .*(configmaps|things)/, { status: 429, headers: { 'retry-after': '0' } }, 2),
      () => proxy.answer(/PATCH .*configmaps/, { status: 409, body: { kind: 'Status', reason: 'Conflict' } }),
      () => proxy.answer(/PATCH .*status/, { status: 500 }),
      () => proxy.loseAnswer(/PATCH .*(configmaps|status)/),
      () => proxy.reset(),
      () => proxy.answer(/watch=true/, { status: 410, body: { kind: 'Status', reason: 'Expired' } }),
    ];
    for (let i = 0; i < 4; i += 1) await make(`t${i}`, 0);
    for (let round = 1; round <= 12; round += 1) {
      faults[round % faults.length]?.();
      await resize(`t${round % 4}`, round);
    }
    await server().process.kill();
    await server().process.start();
    await resize('t0', 100);
    await eventually(async () => {
      const { items } = await kubernetes.list(things, { namespace });
      for (const { metadata, spec, status } of items) {
        expect([status?.size, (await child(metadata.name))?.size]).toEqual([spec.size, String(spec.size)]);
      }
    }, 30_000);
    const errors = await registry.getSingleMetric('controller_runtime_reconcile_errors_total')?.get();
    expect(errors?.values[0]?.value).toBeGreaterThan(0);
  }, 60_000);

  it('gives its lease back when it stops, and its successor goes on at once', async () => {
    const [first, second] = [await throughProxy('first'), await throughProxy('second')];
    await first.manager.start();
    await eventually(() => expect(first.manager.isLeader()).toBe(true));
    await second.manager.start();
    await first.manager.stop();
    await eventually(() => expect(second.manager.isLeader()).toBe(true), 1_500);
    await make('a', 1);
    await eventually(async () => expect(await child('a')).toEqual({ size: '1', by: 'second' }));
    expect([first.exits, second.exits]).toEqual([[], []]);
  });

  it('ends when its lease is lost, and writes nothing after that', async () => {
    const { manager, proxy, exits } = await throughProxy('one');
    const { url } = await manager.start();
    await eventually(() => expect(manager.isLeader()).toBe(true));
    await proxy.cut();
    await eventually(() => expect(exits).toEqual(['one']));
    await proxy.restore();
    const from = proxy.requests.length;
    await make('a', 1);
    await expect(manager.kubernetes.delete(configMaps, { namespace, name: 'a' })).rejects.toMatchObject({
      code: 'NotLeader',
    });
    await eventually(() => expect(proxy.requests.length).toBeGreaterThan(from));
    expect((await request(`${url}/livez`)).statusCode).toBe(503);
    expect(proxy.requests.slice(from).filter(line => !line.startsWith('GET'))).toEqual([]);
  });
});

describe('several operators, each a process', () => {
  interface Operator {
    readonly identity: string;
    readonly process: ChildProcess;
    readonly ended: Promise<number | string>;
  }
  let lives = 0;

  function launch(): Operator {
    lives += 1;
    const identity = `life-${lives}`;
    const config = {
      location: { kind: 'kubeconfig', files: [server().kubeconfigFile] },
      namespace,
      identity,
      election,
    };
    const main = join(import.meta.dirname, 'testing-operator-main.ts');
    const [program = '', ...args] = [...endsWithParent(), process.execPath, main, JSON.stringify(config)];
    const child = spawn(program, args, { stdio: 'ignore' });
    const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
    ending.push(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return { identity, process: child, ended };
  }

  /** Who wrote the children, in the order in which the server took it. */
  async function watchAuthors(): Promise<string[]> {
    const { metrics } = testMetrics();
    const cache: Cache = createCache(
      { kubernetes, clock: systemClock, random: Math.random, logger: silent, metrics: metrics.reflector },
      { fieldManagers: [] },
    );
    const authors: string[] = [];
    cache.informer<ConfigMap>(configMaps, { namespace }).subscribe(({ object }) => {
      const author = object.data?.by;
      if (author !== undefined && authors.at(-1) !== author) authors.push(author);
    });
    cache.start();
    ending.push(cache.stop);
    await eventually(() => expect(cache.hasSynced()).toBe(true));
    return authors;
  }

  async function converged(sizes: ReadonlyMap<string, number>): Promise<void> {
    await eventually(async () => {
      for (const [name, size] of sizes) expect((await child(name))?.size).toBe(String(size));
      const { items } = await kubernetes.list(things, { namespace });
      for (const { metadata, status } of items) expect(status?.size).toBe(sizes.get(metadata.name));
    }, 30_000);
  }

  it('finish what was begun, however often the leader is killed, and never two of them write', async () => {
    const sizes = new Map<string, number>();
    const authors = await watchAuthors();
    const operators = [launch(), launch()];
    for (let i = 0; i < 5; i += 1) {
      await make(`t${i}`, 0);
      sizes.set(`t${i}`, 0);
    }
    for (let round = 1; round <= 3; round += 1) {
      await eventually(async () => expect(operators.map(({ identity }) => identity)).toContain(await holder()), 30_000);
      const leader = await holder();
      for (const name of sizes.keys()) {
        await resize(name, round);
        sizes.set(name, round);
        // In the middle of what it does.
        if (name === 't2') operators.find(({ identity }) => identity === leader)?.process.kill('SIGKILL');
      }
      operators.splice(
        operators.findIndex(({ identity }) => identity === leader),
        1,
        launch(),
      );
    }
    await converged(sizes);
    expect(new Set(authors).size).toBe(authors.length);
  }, 120_000);

  it('have one that stood still, and was replaced, end without a word', async () => {
    const authors = await watchAuthors();
    const first = launch();
    await eventually(async () => expect(await holder()).toBe(first.identity), 30_000);
    await make('a', 1);
    await converged(new Map([['a', 1]]));
    first.process.kill('SIGSTOP');
    const second = launch();
    await resize('a', 2);
    await converged(new Map([['a', 2]]));
    expect(await holder()).toBe(second.identity);
    await resize('a', 3);
    first.process.kill('SIGCONT');
    expect(await first.ended).toBe(1);
    await converged(new Map([['a', 3]]));
    expect([authors, await holder()]).toEqual([[first.identity, second.identity], second.identity]);
    second.process.kill('SIGTERM');
    expect([await second.ended, await holder()]).toEqual([0, '']);
  }, 120_000);
});
