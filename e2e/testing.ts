import { MantaError } from '../lib/errors/manta-error.ts';
import { connectKubernetes } from '../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import { locateKubernetes } from '../lib/kubernetes/location.ts';
import { namespaces, type Pod, pods } from '../lib/kubernetes/resources.ts';
import { systemClock } from '../lib/lifecycle/clock.ts';
import { attempt, type CommandEnd, run } from './cluster/command.ts';
import { type ClusterControl, controlCluster } from './cluster/control-client.ts';
import { PROBE_IMAGE } from './cluster/images.ts';

/** A namespace of the cluster for one file of tests. */
export interface TestSpace {
  readonly namespace: string;
  readonly kubernetes: Kubernetes;
  readonly control: ClusterControl;
  /** `kubectl` in the namespace, with standard input. Throws MantaError `CommandFailed`. */
  kubectl(argv: readonly string[], input?: string): Promise<string>;
  /** Runs a command in a pod and tells how it ended. */
  exec(pod: string, argv: readonly string[]): Promise<CommandEnd>;
  /** Ends all that the tests have made in it. */
  close(): Promise<void>;
}

/** Opens an empty namespace on the cluster in whose network this process runs. Throws MantaError `NoCluster`. */
export async function openTestSpace(namespace: string, env: NodeJS.ProcessEnv = process.env): Promise<TestSpace> {
  const dir = env.MANTA_E2E_DIR;
  if (dir === undefined) throw new MantaError('NoCluster', 'tests of e2e run by: npm run e2e');
  const kubernetes = await connectKubernetes({ clock: systemClock }, { location: locateKubernetes(env) });
  const control = controlCluster(dir);
  await remove(kubernetes, namespace);
  await kubernetes.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  return {
    ...{ namespace, kubernetes, control },
    kubectl: (argv, input = '') => run(['kubectl', '--namespace', namespace, ...argv], { input }),
    exec: (pod, argv) => attempt(['kubectl', '--namespace', namespace, 'exec', pod, '--', ...argv]),
    async close() {
      await remove(kubernetes, namespace);
      await Promise.all([kubernetes.close(), control.close()]);
    },
  };
}

async function remove(kubernetes: Kubernetes, name: string): Promise<void> {
  await kubernetes.delete(namespaces, { name });
  const until = performance.now() + 120_000;
  while ((await kubernetes.get(namespaces, { name })) !== undefined) {
    if (performance.now() > until) throw new MantaError('NamespaceStays', `namespace ${name} does not go`);
    await new Promise(resolve => setTimeout(resolve, 200));
  }
}

/** A pod of the test program `probe`; it serves HTTP on port 8080 unless told otherwise. */
export function aProbe(name: string, spec: Partial<NonNullable<Pod['spec']>> = {}): Pod {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: name } }, spec: aProbeSpec(spec) };
}

/** Of such a pod, for templates. `volumeMounts` is for its container. */
export function aProbeSpec(spec: Partial<NonNullable<Pod['spec']>> = {}, container: object = {}) {
  return {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'probe',
        image: PROBE_IMAGE,
        imagePullPolicy: 'Never',
        args: ['serve', ':8080'],
        env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
        readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
        ...container,
      },
    ],
    ...spec,
  };
}

/** The pods of an app that are Ready. */
export async function readyPods({ kubernetes, namespace }: TestSpace, app: string) {
  const { items } = await kubernetes.list(pods, { namespace, labelSelector: `app=${app}` });
  return items.filter(
    pod =>
      pod.metadata.deletionTimestamp === undefined &&
      pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
}
