import { setTimeout as sleep } from 'node:timers/promises';
import { useApiServer } from '../apiserver-process/testing.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { isConflict, isExpired } from './api-error.ts';
import { connectKubernetes } from './connect.ts';
import type { Kubernetes } from './kubernetes.ts';
import { type ConfigMap, configMaps, deployments, namespaces, nodes, podDisruptionBudgets, pods } from './resources.ts';
import { serviceProxyPath } from './service-proxy.ts';
import type { WatchEvent } from './watch.ts';

const server = useApiServer();
let kubernetes: Kubernetes;
let count = 0;
let namespace: string;

beforeAll(async () => {
  const location = { kind: 'kubeconfig', files: [server().kubeconfigFile] } as const;
  kubernetes = await connectKubernetes({ clock: systemClock }, { location });
});
afterAll(() => kubernetes.close());
beforeEach(async () => {
  count += 1;
  namespace = `test-${count}`;
  await kubernetes.create(namespaces, { metadata: { name: namespace } });
});

const aMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({ metadata: { namespace, name }, data });

describe('a Kubernetes client', () => {
  it('creates, reads, replaces and deletes; what is not there is a value', async () => {
    const key = { namespace, name: 'a' };
    expect(await kubernetes.get(configMaps, key)).toBeUndefined();
    const created = await kubernetes.create(configMaps, aMap('a', { x: '1' }));
    expect(created).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'a', uid: expect.any(String) } });
    await kubernetes.replace(configMaps, { ...created, data: { x: '2' } });
    expect((await kubernetes.get(configMaps, key))?.data).toEqual({ x: '2' });
    expect(await kubernetes.delete(configMaps, key)).toBe(true);
    expect(await kubernetes.delete(configMaps, key)).toBe(false);
  });

  it('tells what the server refused, and why', async () => {
    const created = await kubernetes.create(configMaps, aMap('a'));
    await expect(kubernetes.create(configMaps, aMap('a'))).rejects.toMatchObject({
      code: 'ApiAlreadyExists',
      status: 409,
    });
    await kubernetes.replace(configMaps, { ...created, data: { x: '1' } });
    const stale = kubernetes.replace(configMaps, { ...created, data: { x: '2' } });
    await expect(stale).rejects.toMatchObject({ code: 'ApiConflict', message: expect.stringContaining('modified') });
    await expect(stale.catch(isConflict)).resolves.toBe(true);
    await expect(kubernetes.create(configMaps, aMap('Not A Name'))).rejects.toMatchObject({
      code: 'ApiInvalid',
      causes: [expect.objectContaining({ field: 'metadata.name' })],
    });
    await expect(kubernetes.get(configMaps, { namespace, name: '' })).rejects.toMatchObject({
      code: 'InvalidParameter',
    });
    await expect(kubernetes.get(configMaps, { name: 'a' })).rejects.toMatchObject({ code: 'InvalidParameter' });
  });

  it('deletes only the object that was meant', async () => {
    const created = await kubernetes.create(configMaps, aMap('a'));
    const key = { namespace, name: 'a' };
    const other = kubernetes.delete(configMaps, key, { uid: 'b7d5ba2e-0000-4000-8000-000000000000' });
    await expect(other).rejects.toMatchObject({ code: 'ApiConflict' });
    expect(await kubernetes.delete(configMaps, key, { uid: created.metadata.uid, dryRun: true })).toBe(true);
    expect(await kubernetes.get(configMaps, key)).toBeDefined();
    expect(await kubernetes.delete(configMaps, key, { uid: created.metadata.uid })).toBe(true);
  });

  it('applies: owns what it names, removes what it names no longer, and takes from others only by force', async () => {
    const us = { fieldManager: 'us' };
    await kubernetes.apply(configMaps, aMap('a', { x: '1', y: '1' }) as never, us);
    const second = await kubernetes.apply(configMaps, { metadata: { namespace, name: 'a' }, data: { x: '1' } }, us);
    expect(second.data).toEqual({ x: '1' });
    const again = await kubernetes.apply(configMaps, { metadata: { namespace, name: 'a' }, data: { x: '1' } }, us);
    expect(again.metadata.resourceVersion).toBe(second.metadata.resourceVersion);
    const theirs = { metadata: { namespace, name: 'a' }, data: { x: '2' } };
    const taken = kubernetes.apply(configMaps, theirs, { fieldManager: 'them' });
    await expect(taken).rejects.toMatchObject({ code: 'ApiConflict', causes: [{ field: '.data.x' }] });
    const forced = await kubernetes.apply(configMaps, theirs, { fieldManager: 'them', force: true });
    expect(forced.data).toEqual({ x: '2' });
  });

  it('never touches who owns which fields by sending back an object that it has read in part', async () => {
    await kubernetes.apply(
      configMaps,
      { metadata: { namespace, name: 'a' }, data: { x: '1' } },
      { fieldManager: 'us' },
    );
    const read = await kubernetes.get(configMaps, { namespace, name: 'a' });
    if (read === undefined) throw new Error('it was just applied');
    const replaced = await kubernetes.replace(configMaps, {
      ...read,
      metadata: { ...read.metadata, managedFields: [], labels: { a: 'b' } },
    });
    expect(replaced.metadata.managedFields?.map(({ manager }) => manager)).toContain('us');
  });

  it('applies a status apart from the rest, and patches single fields', async () => {
    const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    const spec = { selector: { matchLabels: { a: 'b' } }, template };
    await kubernetes.create(deployments, { metadata: { namespace, name: 'd' }, spec });
    const applied = await kubernetes.apply(
      deployments,
      { metadata: { namespace, name: 'd' }, spec: { replicas: 7 }, status: { observedGeneration: 1, replicas: 3 } },
      { fieldManager: 'us', subresource: 'status' },
    );
    expect([applied.spec?.replicas, applied.status?.replicas]).toEqual([1, 3]);
    const body = { metadata: { annotations: { note: 'x' } } };
    await kubernetes.patch(deployments, { namespace, name: 'd' }, { type: 'merge', body });
    const replaced = await kubernetes.patch(
      deployments,
      { namespace, name: 'd' },
      { type: 'json', body: [{ op: 'replace', path: '/spec/replicas', value: 4 }] },
    );
    expect([replaced.metadata.annotations?.note, replaced.spec?.replicas]).toEqual(['x', 4]);
  });

  it('lists in pages, by selector, and over namespaces', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await kubernetes.create(configMaps, {
        metadata: { namespace, name, labels: { test: namespace, kind: name < 'c' ? 'x' : 'y' } },
      });
    }
    const names: string[] = [];
    let from: string | undefined;
    let pages = 0;
    do {
      const page = await kubernetes.list(configMaps, {
        namespace,
        limit: 2,
        ...(from === undefined ? {} : { continue: from }),
      });
      names.push(...page.items.map(({ metadata }) => metadata.name));
      from = page.continue;
      pages += 1;
    } while (from !== undefined);
    expect([names, pages]).toEqual([['a', 'b', 'c', 'd', 'e'], 3]);
    const found = await kubernetes.list(configMaps, { labelSelector: `test=${namespace},kind=y` });
    expect(found.items.map(({ metadata }) => metadata.name)).toEqual(['c', 'd', 'e']);
    const one = await kubernetes.list(configMaps, { namespace, fieldSelector: 'metadata.name=b' });
    expect(one.items).toHaveLength(1);
    expect((await kubernetes.list(nodes)).items).toEqual([]);
  });

  it('tries things out without doing them', async () => {
    await kubernetes.create(configMaps, aMap('a'), { dryRun: true });
    expect(await kubernetes.get(configMaps, { namespace, name: 'a' })).toBeUndefined();
  });

  it('asks for evictions, and tells when a budget forbids one', async () => {
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    for (const name of ['free', 'guarded']) {
      await kubernetes.create(pods, {
        metadata: { namespace, name, labels: { name } },
        spec: { ...spec, nodeName: 'n' },
      });
      await kubernetes.patch(pods, { namespace, name }, { type: 'merge', body: { status } }, { subresource: 'status' });
    }
    const budget = await kubernetes.create(podDisruptionBudgets, {
      metadata: { namespace, name: 'b' },
      spec: { minAvailable: 1, selector: { matchLabels: { name: 'guarded' } } },
    });
    // In place of the disruption controller, which does not run here.
    const counts = { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 };
    await kubernetes.replace(
      podDisruptionBudgets,
      { ...budget, status: { ...counts, observedGeneration: budget.metadata.generation ?? 1 } },
      { subresource: 'status' },
    );
    expect(await kubernetes.evict({ namespace, name: 'free' })).toEqual({ kind: 'evicted' });
    expect(await kubernetes.evict({ namespace, name: 'none' })).toEqual({ kind: 'absent' });
    expect(await kubernetes.evict({ namespace, name: 'guarded' })).toMatchObject({
      kind: 'blocked',
      message: expect.stringContaining('disruption budget'),
    });
  });

  it('asks before every write of a guarded client, and never for a read', async () => {
    const guarded = kubernetes.guarded(() => {
      throw new Error('not now');
    });
    const key = { namespace, name: 'a' };
    expect(await guarded.get(configMaps, key)).toBeUndefined();
    await expect(guarded.create(configMaps, aMap('a'))).rejects.toThrow('not now');
    await expect(guarded.delete(configMaps, key)).rejects.toThrow('not now');
    await expect(guarded.patch(configMaps, key, { type: 'merge', body: {} })).rejects.toThrow('not now');
    expect(await kubernetes.get(configMaps, key)).toBeUndefined();
  });

  it('passes other requests on, and streams what they answer', async () => {
    expect(await kubernetes.json({ method: 'GET', path: '/version' })).toMatchObject({ major: '1' });
    const path = serviceProxyPath({ namespace, service: 'none', port: 'http' }, '/a/b?c=d');
    const answer = await kubernetes.open({ method: 'GET', path });
    expect([answer.status, (await answer.body.toArray()).toString()]).toEqual([
      503,
      expect.stringContaining('no endpoints'),
    ]);
  });
});

describe('a watch', () => {
  function collect(from: string, signal: AbortSignal, timeoutS = 60) {
    const events: WatchEvent<ConfigMap>[] = [];
    const ended = (async () => {
      for await (const event of kubernetes.watch(configMaps, {
        namespace,
        resourceVersion: from,
        timeoutS,
        signal,
      })) {
        events.push(event);
      }
    })();
    ended.catch(() => {});
    const told = () =>
      events.flatMap(event => (event.type === 'BOOKMARK' ? [] : [`${event.type} ${event.object.metadata.name}`]));
    return { events, ended, told };
  }

  it('tells what happened after the version that it starts from, and ends with its signal', async () => {
    const { resourceVersion } = await kubernetes.list(configMaps, { namespace });
    const created = await kubernetes.create(configMaps, aMap('a'));
    const stopping = new AbortController();
    const { told, ended } = collect(resourceVersion, stopping.signal);
    await eventually(() => expect(told()).toEqual(['ADDED a']));
    await kubernetes.replace(configMaps, { ...created, data: { x: '1' } });
    await kubernetes.delete(configMaps, { namespace, name: 'a' });
    await eventually(() => expect(told()).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']));
    stopping.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
  });

  it('ends in order when its time is over, and tells before that how far it has come', async () => {
    const { resourceVersion } = await kubernetes.list(configMaps, { namespace });
    const { events, ended, told } = collect(resourceVersion, new AbortController().signal, 6);
    await kubernetes.create(configMaps, aMap('a'));
    await eventually(() => expect(told()).toEqual(['ADDED a']));
    const elsewhere = await kubernetes.create(configMaps, { metadata: { namespace: 'default', name: 'elsewhere' } });
    await ended;
    expect(told()).toEqual(['ADDED a']);
    expect(events).toContainEqual({ type: 'BOOKMARK', resourceVersion: elsewhere.metadata.resourceVersion });
  });

  it('survives many objects in one answer', async () => {
    const { resourceVersion } = await kubernetes.list(configMaps, { namespace });
    const text = 'ä'.repeat(20_000);
    await Promise.all(Array.from({ length: 100 }, (_, i) => kubernetes.create(configMaps, aMap(`m${i}`, { text }))));
    const stopping = new AbortController();
    const { events } = collect(resourceVersion, stopping.signal);
    await eventually(() => expect(events.filter(({ type }) => type === 'ADDED')).toHaveLength(100));
    expect(events.every(event => event.type === 'BOOKMARK' || event.object.data?.text === text)).toBe(true);
    stopping.abort();
    await sleep(0);
  });

  it('is refused as expired from a version that is no longer kept', async () => {
    const { resourceVersion } = await kubernetes.list(configMaps, { namespace });
    await kubernetes.create(configMaps, aMap('a'));
    // What a server remembers of changes begins with its start.
    await server().process.kill();
    await server().process.start();
    const watch = kubernetes.watch(configMaps, { namespace, resourceVersion, timeoutS: 5 });
    await expect(watch.next().catch(isExpired)).resolves.toBe(true);
  });
});
