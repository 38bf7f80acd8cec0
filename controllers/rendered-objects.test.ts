import { useApiServer } from '../lib/apiserver-process/testing.ts';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { Intent, KubernetesObject } from '../lib/kubernetes/object.ts';
import { keyOf } from '../lib/kubernetes/object.ts';
import type { Resource } from '../lib/kubernetes/resource.ts';
import { namespaces, pods } from '../lib/kubernetes/resources.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { createApplier } from '../operator/runtime/applier.ts';
import { recorded } from './testing/recorded.ts';
import { allObjects, profiles } from './testing/rendered.ts';

const clients: Kubernetes[] = [];
afterAll(async () => {
  await Promise.all(clients.map(client => client.close()));
});
const api = useApiServer();

let kubernetes: Kubernetes;
beforeAll(async () => {
  const location = { kind: 'kubeconfig' as const, files: [api().kubeconfigFile] };
  kubernetes = await connectKubernetes({ clock: systemClock }, { location });
  clients.push(kubernetes);
});

/** No priority class, which only a chart makes, and a volume for every mount, which only a StatefulSet adds. */
function runnable(spec: object): object {
  const { volumes = [], containers } = spec as {
    volumes?: { name: string }[];
    containers: { volumeMounts: { name: string }[] }[];
  };
  const mounts = containers.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name));
  const missing = mounts.filter(name => !volumes.some(volume => volume.name === name));
  return {
    priorityClassName: undefined,
    volumes: [...volumes, ...missing.map(name => ({ name, persistentVolumeClaim: { claimName: name } }))],
  };
}

describe.each(profiles)('what is rendered for %s', (profile, region) => {
  let namespace: string;
  beforeAll(async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const made = await kubernetes.create(namespaces, { metadata: { name: '', generateName: `${profile}-`, labels } });
    namespace = made.metadata.name;
  });

  it('is accepted by the API server, and sent once only, also by an operator that has just started', async () => {
    const calls: string[] = [];
    const note = (call: string) => void calls.push(call);
    const objects = allObjects(region(namespace));
    const applyAll = async () => {
      const applier = createApplier({ kubernetes: recorded(kubernetes, note) }, { fieldManager: 'manta-operator' });
      for (const { resource, intent } of objects) {
        const current = await kubernetes.get(resource, keyOf(intent));
        await applier.applyTo(resource as Resource<KubernetesObject>, current, intent as Intent<KubernetesObject>);
      }
    };
    await applyAll();
    expect(calls).toHaveLength(objects.length);
    calls.length = 0;
    await applyAll();
    expect(calls).toEqual([]);
  });

  it('has pods that meet the profile restricted of the Pod Security Standards', async () => {
    const templates = allObjects(region(namespace)).flatMap(({ intent }) => {
      const { spec } = intent as { spec?: { template?: Intent<KubernetesObject> } };
      return spec?.template === undefined ? [] : [spec.template];
    });
    expect(templates.length).toBeGreaterThan(4);
    for (const template of templates) {
      const { spec, metadata } = template as never as { spec: object; metadata: object };
      const pod = {
        metadata: { ...metadata, name: '', generateName: 'pod-', namespace },
        spec: { ...spec, ...runnable(spec) },
      };
      await kubernetes.create(pods, pod as never, { dryRun: true });
    }
  });
});
