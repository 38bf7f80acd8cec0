import { useApiServer } from '../../lib/apiserver-process/testing.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Intent } from '../../lib/kubernetes/object.ts';
import {
  type ConfigMap,
  configMaps,
  namespaces,
  type Secret,
  type Service,
  type StatefulSet,
  secrets,
  services,
  statefulSets,
} from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { type Applier, createApplier } from './applier.ts';
import { type Cache, createCache } from './cache.ts';
import { setConditions } from './condition.ts';
import { createStatusWriter } from './status-writer.ts';
import { createManualTime, silent, testMetrics } from './testing.ts';
import { installThings, type Thing, things } from './testing-things.ts';

const server = useApiServer();
const fieldManager = 'us';
let kubernetes: Kubernetes;
let cache: Cache;
let applier: Applier;
let writes: string[] = [];
let count = 0;
let namespace: string;

function aCache(): Cache {
  const { metrics } = testMetrics();
  const created = createCache(
    { kubernetes, clock: systemClock, random: Math.random, logger: silent, metrics: metrics.reflector },
    { fieldManagers: [fieldManager] },
  );
  created.start();
  return created;
}

beforeAll(async () => {
  const location = { kind: 'kubeconfig', files: [server().kubeconfigFile] } as const;
  const observe = ({ method, code }: { method: string; code: string }) => {
    if (method !== 'GET') writes.push(`${method} ${code}`);
  };
  kubernetes = await connectKubernetes({ clock: systemClock, observe }, { location });
  await installThings(kubernetes);
}, 60_000);
afterAll(() => kubernetes.close());
beforeEach(async () => {
  count += 1;
  namespace = `test-${count}`;
  await kubernetes.create(namespaces, { metadata: { name: namespace } });
  cache = aCache();
  applier = createApplier({ kubernetes }, { fieldManager });
  writes = [];
});
afterEach(() => cache.stop());

async function synced() {
  await eventually(() => expect(cache.hasSynced()).toBe(true));
}

const aMap = (data: Record<string, string>): Intent<ConfigMap> => ({ metadata: { namespace, name: 'a' }, data });

/** With what the server rewrites (quantities), fills in (nearly everything) and orders. */
const aStatefulSet = (): Intent<StatefulSet> => ({
  metadata: { namespace, name: 'set', labels: { app: 'set' } },
  spec: {
    serviceName: 'set',
    replicas: 3,
    selector: { matchLabels: { app: 'set' } },
    template: {
      metadata: { labels: { app: 'set' } },
      spec: {
        containers: [
          {
            name: 'main',
            image: 'image',
            ports: [{ name: 'http', containerPort: 8080 }, { containerPort: 9090 }],
            env: [
              { name: 'B', value: '1' },
              { name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            ],
            resources: { limits: { cpu: '0.5', memory: '1024Mi' }, requests: { cpu: 0.25 as never } },
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ],
        volumes: [{ name: 'tmp', emptyDir: {} }],
        tolerations: [{ key: 'x', operator: 'Exists' }],
        securityContext: {},
      },
    },
    volumeClaimTemplates: [
      {
        metadata: { name: 'data' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '0.5Gi' } } },
      },
    ],
  },
});

describe('an applier', () => {
  it('sends the same thing once, and what has changed', async () => {
    const maps = cache.informer(configMaps, { namespace });
    await synced();
    const first = await applier.apply(maps, aMap({ x: '1', y: '1' }));
    expect(first.outcome).toBe('created');
    for (let times = 0; times < 5; times += 1) {
      const again = await applier.apply(maps, aMap({ x: '1', y: '1' }));
      expect([again.outcome, again.object.metadata.resourceVersion]).toEqual([
        'unchanged',
        first.object.metadata.resourceVersion,
      ]);
    }
    expect(writes).toEqual(['PATCH 201']);
    expect((await applier.apply(maps, aMap({ x: '2' }))).object.data).toEqual({ x: '2' });
    expect(maps.get({ namespace, name: 'a' })?.data).toEqual({ x: '2' });
    expect(writes).toEqual(['PATCH 201', 'PATCH 200']);
  });

  it('sends nothing after a start of the program, when it has been applied before', async () => {
    const maps = cache.informer(configMaps, { namespace });
    const web = cache.informer(services, { namespace });
    await synced();
    const service: Intent<Service> = {
      metadata: { namespace, name: 'web', labels: { a: 'b' }, annotations: {} },
      spec: {
        selector: { app: 'web' },
        ports: [
          { name: 'http', port: 80 },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
      },
    };
    await applier.apply(maps, aMap({ x: '1' }));
    await applier.apply(web, service);
    const next = createApplier({ kubernetes }, { fieldManager });
    expect((await next.apply(maps, aMap({ x: '1' }))).outcome).toBe('unchanged');
    expect((await next.apply(web, service)).outcome).toBe('unchanged');
    expect(writes).toHaveLength(2);
  });

  it('sends it once where the server writes values in its own way', async () => {
    const sets = cache.informer(statefulSets, { namespace });
    await synced();
    const { object } = await applier.apply(sets, aStatefulSet());
    expect(object.spec?.template.spec?.containers[0]?.resources?.limits).toEqual({ cpu: '500m', memory: '1Gi' });
    for (let times = 0; times < 4; times += 1) await applier.apply(sets, aStatefulSet());
    expect(writes).toEqual(['PATCH 201']);
    const next = createApplier({ kubernetes }, { fieldManager });
    for (let times = 0; times < 4; times += 1) await next.apply(sets, aStatefulSet());
    expect(writes).toEqual(['PATCH 201', 'PATCH 200']);
    const after = await kubernetes.get(statefulSets, { namespace, name: 'set' });
    expect(after?.metadata.resourceVersion).toBe(object.metadata.resourceVersion);
    // What others write beside it changes nothing.
    await kubernetes.patch(
      statefulSets,
      { namespace, name: 'set' },
      { type: 'merge', body: { status: { replicas: 1 } } },
      { subresource: 'status' },
    );
    await eventually(() => expect(sets.get({ namespace, name: 'set' })?.status?.replicas).toBe(1));
    writes = [];
    expect((await next.apply(sets, aStatefulSet())).outcome).toBe('unchanged');
    expect(writes).toEqual([]);
  });

  it.each([
    ['changed', { data: { x: 'theirs' } }],
    ['removed', { data: { x: null } }],
  ])('sets right what someone has %s', async (_what, body) => {
    const maps = cache.informer(configMaps, { namespace });
    const sets = cache.informer(statefulSets, { namespace });
    await synced();
    await applier.apply(maps, aMap({ x: '1' }));
    await applier.apply(sets, aStatefulSet());
    const theirs = { fieldManager: 'kubectl-edit' };
    await kubernetes.patch(configMaps, { namespace, name: 'a' }, { type: 'merge', body }, theirs);
    await kubernetes.patch(
      statefulSets,
      { namespace, name: 'set' },
      { type: 'merge', body: { spec: { replicas: 9 } } },
      theirs,
    );
    await eventually(() => expect(sets.get({ namespace, name: 'set' })?.spec?.replicas).toBe(9));
    await eventually(() => expect(maps.get({ namespace, name: 'a' })?.data?.x).not.toBe('1'));
    expect((await applier.apply(maps, aMap({ x: '1' }))).object.data).toEqual({ x: '1' });
    expect((await applier.apply(sets, aStatefulSet())).object.spec?.replicas).toBe(3);
  });

  it('leaves alone what others own', async () => {
    const maps = cache.informer(configMaps, { namespace });
    await synced();
    await applier.apply(maps, aMap({ x: '1' }));
    await kubernetes.patch(configMaps, { namespace, name: 'a' }, { type: 'merge', body: { data: { theirs: '1' } } });
    await eventually(() => expect(maps.get({ namespace, name: 'a' })?.data?.theirs).toBe('1'));
    expect((await applier.apply(maps, aMap({ x: '1' }))).outcome).toBe('unchanged');
    expect((await applier.apply(maps, aMap({ x: '2' }))).object.data).toEqual({ x: '2', theirs: '1' });
  });

  it('applies what no informer may watch, against what was just read', async () => {
    const key = { namespace, name: 's' };
    const intent: Intent<Secret> = { metadata: key, data: { password: 'eA==' } };
    const first = await applier.applyTo(secrets, await kubernetes.get(secrets, key), intent);
    const second = await applier.applyTo(secrets, await kubernetes.get(secrets, key), intent);
    expect([first.outcome, second.outcome, writes]).toEqual(['created', 'unchanged', ['PATCH 201']]);
  });

  it('makes again what is gone', async () => {
    const maps = cache.informer(configMaps, { namespace });
    await synced();
    await applier.apply(maps, aMap({ x: '1' }));
    await kubernetes.delete(configMaps, { namespace, name: 'a' });
    await eventually(() => expect(maps.size()).toBe(0));
    expect((await applier.apply(maps, aMap({ x: '1' }))).outcome).toBe('created');
  });
});

describe('a status', () => {
  async function aThing() {
    const informer = cache.informer(things, { namespace });
    await synced();
    await kubernetes.create(things, { metadata: { namespace, name: 't' }, spec: { size: 1 } });
    const key = { namespace, name: 't' };
    await eventually(() => expect(informer.get(key)).toBeDefined());
    writes = [];
    const time = createManualTime();
    const writer = createStatusWriter({ applier, clock: time.clock }, { minIntervalMs: 5_000 });
    const write = (status: Thing['status'] & object, urgent = false) => {
      const object = informer.get(key);
      if (object === undefined) throw new Error('it is gone');
      return writer.write(informer, object, status, { urgent });
    };
    return { informer, key, time, write };
  }

  it('is written when it differs, and at most once in five seconds', async () => {
    const { time, write, informer, key } = await aThing();
    expect(await write({ size: 1 })).toEqual({});
    expect(await write({ size: 1 })).toEqual({});
    time.pass(1_000);
    expect(await write({ size: 2 })).toEqual({ requeueAfterMs: 4_000 });
    expect(informer.get(key)?.status).toEqual({ size: 1 });
    time.pass(4_000);
    expect(await write({ size: 2 })).toEqual({});
    expect(informer.get(key)?.status).toEqual({ size: 2 });
    expect(writes).toEqual(['PATCH 200', 'PATCH 200']);
  });

  it('that is urgent is written at once', async () => {
    const { write, informer, key } = await aThing();
    await write({ size: 1 });
    expect(await write({ size: 2 }, true)).toEqual({});
    expect(informer.get(key)?.status).toEqual({ size: 2 });
  });

  it('keeps its conditions by type, and drops what is no longer said', async () => {
    const { write, informer, key } = await aThing();
    const ready = { type: 'Ready', status: 'True', reason: 'Fine', message: 'well', observedGeneration: 1 } as const;
    const conditions = setConditions(undefined, [ready, { ...ready, type: 'Other' }], Date.UTC(2026, 0, 1));
    await write({ size: 1, by: 'us', conditions });
    expect(await write({ size: 1, by: 'us', conditions })).toEqual({});
    expect(writes).toHaveLength(1);
    await write({ size: 1, conditions: conditions.slice(0, 1) }, true);
    expect(informer.get(key)?.status).toEqual({ size: 1, conditions: conditions.slice(0, 1) });
  });

  it('is not given to another object of the same name', async () => {
    const { write, informer, key } = await aThing();
    const old = informer.get(key);
    await kubernetes.delete(things, key);
    await kubernetes.create(things, { metadata: { namespace, name: 't' }, spec: { size: 9 } });
    await eventually(() => expect(informer.get(key)?.spec.size).toBe(9));
    const status: Thing['status'] & object = { size: 1 };
    const writer = createStatusWriter({ applier, clock: systemClock }, { minIntervalMs: 0 });
    if (old === undefined) throw new Error('it was never there');
    await expect(writer.write(informer, old, status)).rejects.toMatchObject({ code: 'ApiConflict' });
    await write({ size: 9 });
    expect((await kubernetes.get(things, key))?.status).toEqual({ size: 9 });
  });
});
