import { pino } from 'pino';
import { useApiServer } from '../lib/apiserver-process/testing.ts';
import { eventually } from '../lib/eventually/eventually.ts';
import type { KubernetesObject } from '../lib/kubernetes/object.ts';
import type { Resource } from '../lib/kubernetes/resource.ts';
import {
  configMaps,
  deployments,
  persistentVolumeClaims,
  podDisruptionBudgets,
  pods,
  secrets,
  services,
  statefulSets,
} from '../lib/kubernetes/resources.ts';
import { mantaRegions, shards, storageNodes } from '../lib/resources/types.ts';
import { findCondition } from '../operator/runtime/condition.ts';
import { dataOf } from './secrets/secret-data.ts';
import { asPoseidon } from './testing/as-poseidon.ts';
import { aDevRegion, type RegionTest, startRegionTest } from './testing/region-test.ts';

const logger = pino({ level: process.env.MANTA_TEST_LOG ?? 'silent' });

let region: RegionTest;
// Before the hooks of the API server, because hooks run in the order in which they are given.
afterAll(async () => {
  await region?.close();
}, 60_000);
const api = useApiServer();
beforeAll(async () => {
  region = await startRegionTest(api(), logger);
}, 60_000);

const theRegion = async () => {
  const found = await region.kubernetes.get(mantaRegions, { namespace: region.namespace, name: 'coal' });
  if (found === undefined) throw new Error('there is no region');
  return found;
};

const isReady = async () => findCondition((await theRegion()).status?.conditions, 'Ready')?.status === 'True';

/** Names and versions of everything that the operator has made. */
async function madeObjects(): Promise<Record<string, string>> {
  const kinds: Resource<KubernetesObject>[] = [
    configMaps,
    deployments,
    persistentVolumeClaims,
    pods,
    podDisruptionBudgets,
    secrets,
    services,
    statefulSets,
    shards,
    storageNodes,
    mantaRegions,
  ];
  const found: [string, string][] = [];
  for (const kind of kinds) {
    const { items } = await region.kubernetes.list(kind, { namespace: region.namespace });
    for (const { metadata } of items) found.push([`${kind.plural}/${metadata.name}`, metadata.resourceVersion]);
  }
  return Object.fromEntries(found);
}

test('a region in development comes up although its operator is killed after every few writes', async () => {
  const { kubernetes, namespace } = region;
  await kubernetes.create(mantaRegions, aDevRegion(namespace));
  let lives = 0;
  await region.startOperator({ writes: 15 });
  await eventually(async () => {
    if (region.isDead()) {
      lives += 1;
      await region.startOperator({ writes: 15 });
    }
    return isReady();
  }, 200_000);
  expect(lives).toBeGreaterThan(2);
  // Two storage nodes are enough for two copies; the third one follows.
  await eventually(async () => {
    expect((await theRegion()).status).toMatchObject({
      version: '1.0.0',
      shards: { index: ['shard-1'], control: 'shard-1', jobs: 'shard-1', ops: 'shard-1' },
      slotMap: { version: 1, moving: 0 },
      display: { shards: '1/1', storage: '3/3' },
      nextStorageNumber: 4,
    });
  }, 60_000);
}, 400_000);

test('the system account can put an object and read it', async () => {
  const { kubernetes, namespace, cluster } = region;
  const keys = dataOf(await kubernetes.get(secrets, { namespace, name: 'manta-poseidon' }));
  const { items } = await kubernetes.list(deployments, { namespace });
  expect(items.map(({ metadata }) => metadata.name)).toEqual(['loadbalancer', 'webapi']);
  const url = `http://127.0.0.1:${cluster.ports.known('webapi', 8080)}`;
  await eventually(async () => {
    const content = { type: 'text/plain', body: 'hello' };
    const put = await asPoseidon(url, keys, 'PUT', '/poseidon/stor/hello.txt', content);
    expect(put).toEqual({ status: 204, text: '' });
  }, 30_000);
  expect(await asPoseidon(url, keys, 'GET', '/poseidon/stor/hello.txt')).toEqual({ status: 200, text: 'hello' });
});

test('another operator on a region that is as it should be writes nothing', async () => {
  await region.startOperator();
  // What it has to show it has shown when nothing was written for longer than a status may wait.
  let quiet = { writes: -1, since: 0 };
  await eventually(() => {
    const writes = region.writes().length;
    if (writes !== quiet.writes) quiet = { writes, since: performance.now() };
    return performance.now() - quiet.since > 6_000;
  }, 60_000);
  await region.stopOperator();
  const before = await madeObjects();
  await region.startOperator();
  await new Promise(resolve => setTimeout(resolve, 3_000));
  await region.stopOperator();
  expect(region.writes()).toEqual([]);
  expect(await madeObjects()).toEqual(before);
  expect(Object.keys(before)).toEqual(
    expect.arrayContaining(['statefulsets/nameservice', 'statefulsets/pg-1', 'statefulsets/stor-3', 'services/manta']),
  );
}, 90_000);

test('a new version rolls one thing at a time, in order, and is complete then', async () => {
  const { kubernetes, namespace } = region;
  const turns: string[] = [];
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const object = (await theRegion()).status?.rollout?.object;
      if (object !== undefined && turns.at(-1) !== object) turns.push(object);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  })();
  await region.startOperator({ images: { registry: 'registry.test/manta', version: '1.1.0' } });
  await eventually(async () => {
    const { items } = await kubernetes.list(pods, { namespace });
    const images = items.map(({ spec }) => spec?.containers[0]?.image ?? '');
    expect(images.filter(image => !image.endsWith(':1.1.0'))).toEqual([]);
    const { status } = await theRegion();
    expect(status?.rollout).toBeUndefined();
    expect(findCondition(status?.conditions, 'Ready')).toMatchObject({ status: 'True' });
  }, 100_000).finally(() => {
    isOver = true;
  });
  await watching;
  expect(turns).toEqual(['nameservice', 'shard-1', 'stor-1', 'stor-2', 'stor-3', 'webapi', 'loadbalancer']);
  expect((await theRegion()).status?.version).toBe('1.1.0');
}, 300_000);
