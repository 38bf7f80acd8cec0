import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type ApiServer, startApiServer } from '../lib/apiserver-process/api-server.ts';
import { eventually } from '../lib/eventually/eventually.ts';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import { namespaces } from '../lib/kubernetes/resources.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { aRegion } from '../lib/resources/testing.ts';
import { mantaRegions } from '../lib/resources/types.ts';
import { CHART, type Helm, NAMESPACE, startHelm } from './testing.ts';

let dir: string;
let server: ApiServer;
let kubernetes: Kubernetes;
let helm: Helm;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'manta-install-'));
  helm = await startHelm();
  server = await startApiServer({ logger: pino({ level: 'warn' }), clock: systemClock }, { dir });
  const location = { kind: 'kubeconfig', files: [server.kubeconfigFile] } as const;
  kubernetes = await connectKubernetes({ clock: systemClock }, { location });
  await kubernetes.create(namespaces, { metadata: { name: NAMESPACE } });
}, 1_800_000);

afterAll(async () => {
  await kubernetes?.close();
  await server?.stop();
  helm?.close();
  rmSync(dir, { recursive: true, force: true });
});

const release = (verb: string, ...args: readonly string[]) =>
  helm.run([verb, 'manta', ...args, '--namespace', NAMESPACE, '--kubeconfig', server.kubeconfigFile]);

const CLUSTER_WIDE = [
  '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
  '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies',
  '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  '/apis/scheduling.k8s.io/v1/priorityclasses',
  '/apis/storage.k8s.io/v1/storageclasses',
  '/api/v1/persistentvolumes',
];

/** Paths of all objects outside of namespaces that a chart may make. */
async function outside(): Promise<string[]> {
  const lists = await Promise.all(
    CLUSTER_WIDE.map(async path => {
      const { items } = (await kubernetes.json({ method: 'GET', path })) as { items: { metadata: { name: string } }[] };
      return items.map(({ metadata }) => `${path}/${metadata.name}`);
    }),
  );
  return lists.flat().sort();
}

/** Definitions are served a moment after they are there. */
const regionOnceServed = async () => {
  await eventually(() => kubernetes.list(mantaRegions, { namespace: NAMESPACE }), 30_000);
  return kubernetes.get(mantaRegions, { namespace: NAMESPACE, name: 'us-east' });
};

it('a release comes, is upgraded, goes and comes again; what people described stays, and beside it nothing but the definitions', async () => {
  const before = await outside();
  expect(await release('install', CHART)).toContain('There is no region yet');
  await regionOnceServed();
  await kubernetes.create(mantaRegions, aRegion());
  const region = await regionOnceServed();

  const installed = await outside();
  expect(await release('upgrade', CHART, '--set', 'logLevel=debug', '--reset-then-reuse-values')).toContain(
    'REVISION: 2',
  );
  expect(await outside()).toEqual(installed);

  await release('uninstall');
  const left = (await outside()).filter(path => !before.includes(path));
  expect(left.map(path => path.split('/').at(-1))).toEqual([
    'mantaregions.manta.io',
    'shards.manta.io',
    'storagenodes.manta.io',
  ]);
  expect(await regionOnceServed()).toEqual(region);

  await release('install', CHART);
  expect(await outside()).toEqual(installed);
  expect(await regionOnceServed()).toEqual(region);
}, 180_000);
