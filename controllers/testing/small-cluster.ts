import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { keyOf, type Stored } from '../../lib/kubernetes/object.ts';
import {
  type Deployment,
  deployments,
  nodes,
  type Pod,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  type StatefulSet,
  statefulSets,
} from '../../lib/kubernetes/resources.ts';
import { startTask, type Task } from '../../lib/lifecycle/task.ts';
import { ordinalOf } from '../../lib/shard/records.ts';
import { controllerReference, isControlledBy } from '../../operator/runtime/owner.ts';
import { labels } from '../names.ts';
import { startForwarder } from './forwarder.ts';
import { mountVolumes, unmount } from './pod-files.ts';
import { createPorts, type PodProcess, type Ports, startContainer } from './processes.ts';

/**
 * What a cluster has and an API server alone lacks: the controllers of StatefulSets and Deployments, a binder of claims, and
 * a kubelet, as far as tests need them. Pods become processes of this machine: etcd, sitters with PostgreSQL, webapi and
 * storage nodes are the real programs.
 */
export interface SmallCluster {
  readonly ports: Ports;
  /** Ends all processes and the loop. */
  stop(): Promise<void>;
}

const NODE_NAME = 'node-1';
const EVERY_MS = 100;

export async function startSmallCluster(
  deps: { readonly kubernetes: Kubernetes; readonly logger: Logger },
  config: { readonly dir: string; readonly namespace: string },
): Promise<SmallCluster> {
  const { kubernetes, logger } = deps;
  const { dir, namespace } = config;
  const ports = createPorts();
  const running = new Map<string, PodProcess>();
  const node = { metadata: { name: NODE_NAME }, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] } };
  const made = await kubernetes.create(nodes, node);
  await kubernetes.replace(nodes, { ...made, status: node.status }, { subresource: 'status' });

  const podDir = (pod: Stored<Pod>) => join(dir, 'pods', pod.metadata.uid);

  async function makePod(owner: Stored<StatefulSet> | Stored<Deployment>, name: string, isSet: boolean): Promise<void> {
    const { spec } = owner;
    const templates = isSet ? ((owner as Stored<StatefulSet>).spec?.volumeClaimTemplates ?? []) : [];
    for (const { metadata, spec: claim } of templates) {
      const key = { namespace, name: `${metadata?.name}-${name}` };
      if ((await kubernetes.get(persistentVolumeClaims, key)) === undefined)
        await kubernetes.create(persistentVolumeClaims, {
          metadata: { ...metadata, ...key },
          ...(claim && { spec: claim }),
        });
    }
    const volumes = templates.map(({ metadata }) => ({
      name: metadata?.name ?? '',
      persistentVolumeClaim: { claimName: `${metadata?.name}-${name}` },
    }));
    const podSpec = spec?.template.spec;
    if (podSpec === undefined) return;
    await kubernetes.create(pods, {
      metadata: {
        name,
        namespace,
        labels: { ...spec?.template.metadata?.labels, 'controller-revision-hash': revisionOf(owner) },
        annotations: { ...spec?.template.metadata?.annotations },
        ownerReferences: [controllerReference(isSet ? statefulSets : (deployments as never), owner as never)],
      },
      spec: { ...podSpec, nodeName: NODE_NAME, volumes: [...(podSpec.volumes ?? []), ...volumes] },
    });
  }

  async function keepStatefulSet(set: Stored<StatefulSet>, all: readonly Stored<Pod>[]): Promise<void> {
    const own = all.filter(pod => isControlledBy(pod, set));
    const replicas = set.spec?.replicas ?? 0;
    for (let ordinal = 0; ordinal < replicas; ordinal += 1) {
      const name = `${set.metadata.name}-${ordinal}`;
      if (!own.some(pod => pod.metadata.name === name)) await makePod(set, name, true);
    }
    for (const pod of own)
      if (Number(pod.metadata.name.split('-').at(-1)) >= replicas) await kubernetes.delete(pods, keyOf(pod));
    const revision = revisionOf(set);
    const outdated = own.filter(pod => pod.metadata.labels?.['controller-revision-hash'] !== revision);
    const ready = own.filter(isPodReady).length;
    await writeStatus(set, {
      observedGeneration: set.metadata.generation ?? 1,
      replicas: own.length,
      readyReplicas: ready,
      availableReplicas: ready,
      updatedReplicas: own.length - outdated.length,
      updateRevision: revision,
      currentRevision: outdated[0]?.metadata.labels?.['controller-revision-hash'] ?? revision,
    });
    const last = outdated.sort((a, b) => ordinalOf(b.metadata.name) - ordinalOf(a.metadata.name))[0];
    if (set.spec?.updateStrategy?.type === 'RollingUpdate' && ready === replicas && last !== undefined)
      await kubernetes.delete(pods, keyOf(last));
  }

  /** New pods first; old ones go when as many new ones are ready. */
  async function keepDeployment(deployment: Stored<Deployment>, all: readonly Stored<Pod>[]): Promise<void> {
    const own = all.filter(pod => isControlledBy(pod, deployment));
    const revision = revisionOf(deployment);
    const isNew = (pod: Stored<Pod>) => pod.metadata.labels?.['controller-revision-hash'] === revision;
    const fresh = own.filter(isNew);
    const replicas = deployment.spec?.replicas ?? 0;
    for (let index = 0; index < replicas; index += 1) {
      const name = `${deployment.metadata.name}-${revision}-${index}`;
      if (!fresh.some(pod => pod.metadata.name === name)) await makePod(deployment, name, false);
    }
    if (fresh.filter(isPodReady).length >= replicas)
      for (const pod of own.filter(pod => !isNew(pod))) await kubernetes.delete(pods, keyOf(pod));
    const ready = own.filter(isPodReady).length;
    await writeStatus(deployment, {
      observedGeneration: deployment.metadata.generation ?? 1,
      replicas: own.length,
      updatedReplicas: fresh.length,
      readyReplicas: ready,
      availableReplicas: ready,
    });
  }

  async function writeStatus(object: Stored<StatefulSet> | Stored<Deployment>, status: object): Promise<void> {
    const known = object.status as Record<string, unknown> | undefined;
    if (Object.entries(status).every(([name, value]) => (known?.[name] ?? 0) === value)) return;
    const resource = object.kind === 'Deployment' || 'strategy' in (object.spec ?? {}) ? deployments : statefulSets;
    await kubernetes.patch(
      resource as never,
      keyOf(object),
      { type: 'merge', body: { status } },
      { subresource: 'status' },
    );
  }

  async function bindClaims(): Promise<void> {
    const { items } = await kubernetes.list(persistentVolumeClaims, { namespace });
    for (const claim of items.filter(({ status }) => status?.phase !== 'Bound')) {
      const { name } = claim.metadata;
      const path = join(dir, 'claims', name);
      mkdirSync(path, { recursive: true });
      const volume = `pv-${claim.metadata.uid}`;
      const capacity = claim.spec?.resources?.requests ?? {};
      if ((await kubernetes.get(persistentVolumes, { name: volume })) === undefined)
        await kubernetes.create(persistentVolumes, {
          metadata: { name: volume },
          spec: { capacity, accessModes: ['ReadWriteOnce'], hostPath: { path }, storageClassName: 'local' },
        });
      await kubernetes.patch(persistentVolumeClaims, keyOf(claim), {
        type: 'merge',
        body: { spec: { volumeName: volume } },
      });
      const status = { phase: 'Bound', capacity, accessModes: ['ReadWriteOnce'] };
      await kubernetes.patch(
        persistentVolumeClaims,
        keyOf(claim),
        { type: 'merge', body: { status } },
        { subresource: 'status' },
      );
    }
  }

  async function keepPod(pod: Stored<Pod>): Promise<void> {
    const { uid, deletionTimestamp } = pod.metadata;
    if (deletionTimestamp !== undefined) {
      await running.get(uid)?.stop();
      running.delete(uid);
      unmount(podDir(pod));
      await kubernetes.delete(pods, keyOf(pod), { gracePeriodSeconds: 0, uid });
      return;
    }
    let found = running.get(uid);
    if (found === undefined) {
      mkdirSync(podDir(pod), { recursive: true });
      const mounted = await mountVolumes(kubernetes, pod, { pod: podDir(pod), claims: join(dir, 'claims') });
      found = await startContainer({ kubernetes, pod, dir: podDir(pod), mounted, ports });
      running.set(uid, found);
    }
    const isReady = await found.isReady();
    if (isReady === isPodReady(pod) && pod.status?.podIP !== undefined) return;
    const condition = {
      type: 'Ready',
      status: isReady ? 'True' : 'False',
      lastTransitionTime: new Date().toISOString(),
    };
    const status = { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }], conditions: [condition] };
    await kubernetes.patch(pods, keyOf(pod), { type: 'merge', body: { status } }, { subresource: 'status' });
  }

  /** The Service `webapi`: a pod that is ready, else the one that came last. */
  let webapiPod = '';
  const forwarders = await Promise.all(
    [8080, 9090].map(async port => startForwarder(await ports.of('webapi', port), () => ports.known(webapiPod, port))),
  );

  function chooseWebapi(all: readonly Stored<Pod>[]): void {
    const own = all.filter(
      pod => pod.metadata.labels?.[labels.service] === 'webapi' && pod.status?.podIP !== undefined,
    );
    const chosen = own.find(isPodReady) ?? own.at(-1);
    webapiPod = chosen?.metadata.name ?? '';
  }

  async function turn(): Promise<void> {
    await bindClaims();
    const [sets, several, all] = await Promise.all([
      kubernetes.list(statefulSets, { namespace }),
      kubernetes.list(deployments, { namespace }),
      kubernetes.list(pods, { namespace }),
    ]);
    const each = async (what: string, body: () => Promise<void>) => {
      // As in a cluster, what fails for one object is tried again, and holds up no other.
      await body().catch(error => logger.info({ err: error, what }, 'small cluster tries again'));
    };
    chooseWebapi(all.items);
    for (const set of sets.items) await each(set.metadata.name, () => keepStatefulSet(set, all.items));
    for (const one of several.items) await each(one.metadata.name, () => keepDeployment(one, all.items));
    await Promise.all(all.items.map(pod => each(pod.metadata.name, () => keepPod(pod))));
  }

  const task: Task = startTask('small-cluster', EVERY_MS, turn, { logger });
  return {
    ports,
    async stop() {
      await task.stop();
      await Promise.all([...running.values()].map(process => process.stop()));
      for (const forwarder of forwarders) forwarder.close();
    },
  };
}

function isPodReady({ status }: Pick<Pod, 'status'>): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}

function revisionOf({ spec }: Pick<StatefulSet, 'spec'> | Pick<Deployment, 'spec'>): string {
  return createHash('sha256').update(JSON.stringify(spec?.template)).digest('hex').slice(0, 8);
}
