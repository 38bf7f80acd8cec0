import { realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../../images/coal/progress.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { deployments, nodes as nodeObjects } from '../../lib/kubernetes/resources.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { DNS_ADDRESS } from './addresses.ts';
import { run } from './command.ts';
import { type ControlPlane, createControlPlane } from './control-plane.ts';
import { makeCredentials } from './credentials.ts';
import { setUpBridge } from './network.ts';
import { type ClusterNode, createNode } from './node.ts';
import { systemObjects } from './objects.ts';
import type { ClusterPlan } from './plan.ts';
import { updateTemplate } from './template.ts';

/** A running cluster, as its supervisor knows it. */
export interface RunningCluster {
  readonly controlPlane: ControlPlane;
  readonly nodes: readonly ClusterNode[];
  readonly kubernetes: Kubernetes;
  /** Whose images the nodes have: the last one of each name. */
  archives: readonly string[];
}

export interface SupervisorDeps {
  readonly plan: ClusterPlan;
  readonly clock: Clock;
  readonly progress: Progress;
}

const COMES_UP_WITHIN_MS = 120_000;

/**
 * Brings a cluster up in the namespaces of this process, which it takes for its control plane. Resolves when all nodes
 * are Ready and names are answered. Throws MantaErrors; whatever runs then ends with the namespaces.
 */
export async function bringUp({ plan, clock, progress }: SupervisorDeps): Promise<RunningCluster> {
  const replicas = Math.min(2, plan.nodes);
  const credentials = await makeCredentials(join(plan.dir, 'credentials'), plan, clock.now());
  await setUpBridge();
  await useClusterNames(plan);
  const kubernetes = await connectKubernetes(
    { clock },
    { location: { kind: 'kubeconfig', files: [credentials.path('admin.kubeconfig')] } },
  );
  const programs = join(plan.dir, 'programs', 'bin');
  const templateReady = updateTemplate({ ...plan, programs });
  // Whoever waits for it first gets its failure.
  templateReady.catch(() => {});
  const controlPlane = createControlPlane({ plan, credentials });
  await progress.step('API server', () => controlPlane.start(() => isReady(kubernetes)));
  const template = await progress.step('images', () => templateReady);
  const nodes = Array.from({ length: plan.nodes }, (_, index) =>
    createNode({ plan, template, credentials: credentials.ofNode(index + 1) }, index + 1),
  );
  await progress.step('nodes boot', async () => {
    const objects = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: systemObjects(replicas) });
    const kubectl = [join(programs, 'kubectl'), '--kubeconfig', credentials.path('admin.kubeconfig')];
    await Promise.all([
      ...nodes.map(node => node.start()),
      run([...kubectl, '--cache-dir', join(plan.dir, 'kubectl'), 'apply', '--server-side', '-f', '-'], {
        input: objects,
      }),
    ]);
  });
  await progress.step('nodes Ready', () =>
    until('the nodes are not Ready', () => areNodesReady(kubernetes, plan.nodes)),
  );
  await progress.step('DNS', () => until('DNS does not come up', () => isDnsReady(kubernetes, replicas)));
  return { controlPlane, nodes, kubernetes, archives: plan.archives };
}

/** Names of Services are known in these namespaces, also to tests that run here. */
async function useClusterNames(plan: ClusterPlan): Promise<void> {
  const file = join(plan.dir, 'resolv.conf');
  writeFileSync(file, `nameserver ${DNS_ADDRESS}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\n`);
  await run(['mount', '--bind', file, realpathSync('/etc/resolv.conf')]);
}

async function isReady(kubernetes: Kubernetes): Promise<boolean> {
  try {
    const { status } = await kubernetes.open({ method: 'GET', path: '/readyz', timeoutMs: 1_000 });
    if (status === 200) return true;
  } catch {
    // It does not listen yet.
  }
  await sleep(50);
  return false;
}

async function areNodesReady(kubernetes: Kubernetes, count: number): Promise<boolean> {
  const { items } = await kubernetes.list(nodeObjects);
  const ready = items.filter(node =>
    node.status?.conditions?.some(condition => condition.type === 'Ready' && condition.status === 'True'),
  );
  return ready.length === count;
}

async function isDnsReady(kubernetes: Kubernetes, replicas: number): Promise<boolean> {
  const deployment = await kubernetes.get(deployments, { namespace: 'kube-system', name: 'coredns' });
  return deployment?.status?.readyReplicas === replicas;
}

async function until(complaint: string, check: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + COMES_UP_WITHIN_MS;
  while (!(await check())) {
    if (performance.now() > end) throw new MantaError('ClusterStart', `${complaint}: look into its logs`);
    await sleep(100);
  }
}
