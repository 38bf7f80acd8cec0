import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../lib/eventually/eventually.ts';
import {
  daemonSets,
  endpointSlices,
  networkPolicies,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  services,
  statefulSets,
} from '../lib/kubernetes/resources.ts';
import { archiveProgram } from './cluster/images.ts';
import { aProbe, aProbeSpec, openTestSpace, readyPods, type TestSpace } from './testing.ts';

const NODES = ['n1', 'n2', 'n3'];
/** What kube-proxy and kube-router need to follow the API, with patience for a busy machine. */
const FOLLOWED_MS = 30_000;

let space: TestSpace;

beforeAll(async () => {
  space = await openTestSpace('cluster-test');
  const { kubernetes, namespace } = space;
  const labels = { app: 'echo' };
  await kubernetes.create(daemonSets, {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'echo', namespace },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: aProbeSpec() } },
  });
  const ports = [{ port: 80, targetPort: 8080 }];
  for (const [name, spec] of Object.entries({ echo: {}, 'echo-headless': { clusterIP: 'None' } })) {
    await kubernetes.create(services, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: labels, ports, ...spec },
    });
  }
  await eventually(async () => (await readyPods(space, 'echo')).length === NODES.length, 60_000);
}, 180_000);
afterAll(() => space?.close(), 180_000);

/** The pod of echo on a node, once it is ready: after a node's absence it takes a moment. */
async function echoOn(node: string): Promise<{ name: string; address: string }> {
  let found: { name: string; address: string } | undefined;
  await eventually(async () => {
    const pod = (await readyPods(space, 'echo')).find(({ spec }) => spec?.nodeName === node);
    found = pod && { name: pod.metadata.name, address: pod.status?.podIP ?? '' };
    if (found === undefined) throw new Error(`no pod of echo is ready on ${node}`);
  }, 60_000);
  return found as { name: string; address: string };
}

/** What a pod gets from a URL; undefined when nothing answers. */
async function get(pod: string, url: string): Promise<string | undefined> {
  const { code, stdout } = await space.exec(pod, ['/probe', 'get', url]);
  return code === 0 ? stdout : undefined;
}

/** The nodes whose pods the Service sends requests to. */
async function nodesInService(): Promise<readonly (string | undefined)[]> {
  const { kubernetes, namespace } = space;
  const labelSelector = 'kubernetes.io/service-name=echo';
  const { items } = await kubernetes.list(endpointSlices, { namespace, labelSelector });
  const endpoints = items.flatMap(slice => slice.endpoints ?? []);
  return endpoints.filter(({ conditions }) => conditions?.ready === true).map(({ nodeName }) => nodeName);
}

async function isNodeReady(name: string): Promise<boolean> {
  const node = await space.kubernetes.get(nodes, { name });
  return node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}

describe('nodes', () => {
  it('are each in a zone', async () => {
    const { items } = await space.kubernetes.list(nodes);
    const zones = items.map(({ metadata }) => metadata.labels?.['topology.kubernetes.io/zone']);
    expect(zones).toEqual(['zone-a', 'zone-b', 'zone-c']);
  });

  it('have host names, addresses and disks of their own', async () => {
    for (const [index, node] of NODES.entries()) {
      expect((await space.control.exec(node, ['hostname'])).stdout.trim()).toBe(node);
      const { stdout } = await space.control.exec(node, ['ip', '-4', '-o', 'address', 'show', 'eth0']);
      expect(stdout).toContain(`10.89.0.${index + 1}/24`);
    }
    await space.control.exec('n1', ['touch', '/srv/only-here']);
    expect((await space.control.exec('n1', ['ls', '/srv/only-here'])).code).toBe(0);
    expect((await space.control.exec('n2', ['ls', '/srv/only-here'])).code).not.toBe(0);
    await space.control.exec('n1', ['rm', '/srv/only-here']);
  });
});

describe('the pod network', () => {
  it('lets pods of different nodes reach each other by address', async () => {
    const to = await echoOn('n3');
    for (const node of NODES) {
      const from = await echoOn(node);
      const answer = await get(from.name, `http://${to.address}:8080/`);
      expect(answer).toMatch(new RegExp(`node=n3 from=${from.address}:`));
    }
  });

  it('spreads a Service over the pods of all nodes, under its name', async () => {
    const { name } = await echoOn('n1');
    const seen = new Set<string>();
    await eventually(async () => {
      seen.add(/node=(\w+)/.exec((await get(name, 'http://echo.cluster-test.svc.cluster.local/')) ?? '')?.[1] ?? '');
      return NODES.every(node => seen.has(node));
    }, FOLLOWED_MS);
  });

  it('answers the name of a headless Service with the address of every pod', async () => {
    const wanted = await Promise.all(NODES.map(async node => (await echoOn(node)).address));
    const { name } = await echoOn('n2');
    await eventually(async () => {
      const { stdout } = await space.exec(name, ['/probe', 'lookup', 'echo-headless']);
      expect(stdout.trim().split(' ').sort()).toEqual(wanted.sort());
    }, FOLLOWED_MS);
  });

  it('answers nodes, and the namespace in which the tests run', async () => {
    const service = await space.kubernetes.get(services, { namespace: space.namespace, name: 'echo' });
    const url = `http://${service?.spec?.clusterIP}/`;
    await eventually(async () =>
      expect((await space.control.exec('n2', ['curl', '-sm2', url])).stdout).toMatch(/^pod=/),
    );
    const answer = await fetch('http://echo.cluster-test.svc.cluster.local/', { signal: AbortSignal.timeout(5_000) });
    expect(await answer.text()).toMatch(/^pod=/);
    const pod = await fetch(`http://${(await echoOn('n2')).address}:8080/`, { signal: AbortSignal.timeout(5_000) });
    expect(await pod.text()).toMatch(/node=n2/);
  });

  it('has no way out', async () => {
    const { name } = await echoOn('n1');
    // TEST-NET-1: nobody has it. Refused on the spot, because there is no route, and not by silence.
    expect((await space.exec(name, ['/probe', 'get', 'http://192.0.2.1/'])).stderr).toMatch(/unreachable|no route/);
  });
});

describe('NetworkPolicies', () => {
  it('block what they do not allow, and open when they are removed', async () => {
    const { kubernetes, namespace } = space;
    await kubernetes.create(pods, {
      ...aProbe('guarded'),
      metadata: { namespace, name: 'guarded', labels: { app: 'guarded' } },
    });
    await eventually(async () => (await readyPods(space, 'guarded')).length === 1, 60_000);
    const address = (await readyPods(space, 'guarded'))[0]?.status?.podIP;
    const url = `http://${address}:8080/`;
    const callers = await Promise.all(NODES.map(async node => (await echoOn(node)).name));
    const answers = () => Promise.all(callers.map(async name => (await get(name, url)) !== undefined));
    expect(await answers()).toEqual([true, true, true]);

    const policy = { namespace, name: 'guarded' };
    const podSelector = { matchLabels: { app: 'guarded' } };
    const spec = { podSelector, policyTypes: ['Ingress'] };
    await kubernetes.create(networkPolicies, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: policy,
      spec,
    });
    await eventually(async () => expect(await answers()).toEqual([false, false, false]), FOLLOWED_MS);

    const from = [{ podSelector: { matchLabels: { app: 'echo' } } }];
    await kubernetes.patch(networkPolicies, policy, {
      type: 'merge',
      body: { spec: { ...spec, ingress: [{ from }] } },
    });
    await eventually(async () => expect(await answers()).toEqual([true, true, true]), FOLLOWED_MS);

    await kubernetes.patch(networkPolicies, policy, { type: 'merge', body: { spec: { ...spec, ingress: [] } } });
    await eventually(async () => expect(await answers()).toEqual([false, false, false]), FOLLOWED_MS);
    await kubernetes.delete(networkPolicies, policy);
    await eventually(async () => expect(await answers()).toEqual([true, true, true]), FOLLOWED_MS);
  });
});

describe('images', () => {
  it('reach nodes that run already', async () => {
    const { kubernetes, namespace, control } = space;
    const dir = mkdtempSync(join(tmpdir(), 'manta-e2e-'));
    try {
      // Of all programs that are at hand, one that needs nothing but itself.
      const program = join(process.env.MANTA_E2E_DIR ?? '', 'programs/bin/ctr');
      const archive = await archiveProgram(dir, { image: 'manta.local/late:1', program, user: '0:0' });
      await control.order({ kind: 'load', archives: [archive] });
      expect((await control.status()).archives).toContain(archive);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    const containers = [{ name: 'late', image: 'manta.local/late:1', imagePullPolicy: 'Never', args: ['--version'] }];
    for (const nodeName of NODES) {
      const metadata = { namespace, name: `late-${nodeName}`, labels: { app: 'late' } };
      await kubernetes.create(pods, { ...aProbe('late', { nodeName, restartPolicy: 'Never', containers }), metadata });
    }
    await eventually(async () => {
      const { items } = await kubernetes.list(pods, { namespace, labelSelector: 'app=late' });
      expect(items.map(({ status }) => status?.phase)).toEqual(['Succeeded', 'Succeeded', 'Succeeded']);
    }, 60_000);
    expect(await space.kubectl(['logs', 'late-n2'])).toMatch(/^ctr /);
  });
});

describe('local volumes', () => {
  it('stay with their pod’s node through a power cut, and are emptied for the next claim', async () => {
    const { kubernetes, namespace, control } = space;
    const labels = { app: 'keeper' };
    const container = { volumeMounts: [{ name: 'data', mountPath: '/data' }] };
    await kubernetes.create(statefulSets, {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'keeper', namespace },
      spec: {
        serviceName: 'keeper',
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: aProbeSpec({}, container) },
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: {
              accessModes: ['ReadWriteOnce'],
              storageClassName: 'manta-local',
              resources: { requests: { storage: '20Gi' } },
            },
          },
        ],
      },
    });
    await eventually(async () => (await readyPods(space, 'keeper')).length === 1, 60_000);
    const [pod] = await readyPods(space, 'keeper');
    const node = pod?.spec?.nodeName ?? '';
    expect((await space.exec('keeper-0', ['/probe', 'write', '/data/note', 'kept'])).code).toBe(0);

    await control.order({ kind: 'crash', node });
    await eventually(async () => !(await isNodeReady(node)), 60_000);
    await eventually(async () => expect(await nodesInService()).not.toContain(node), 60_000);
    await control.order({ kind: 'start', node });
    await eventually(() => isNodeReady(node), 60_000);
    await eventually(async () => {
      const { stdout } = await space.exec('keeper-0', ['/probe', 'read', '/data/note']);
      expect(stdout).toBe('kept');
    }, 90_000);
    expect((await kubernetes.get(pods, { namespace, name: 'keeper-0' }))?.spec?.nodeName).toBe(node);

    const claim = await kubernetes.get(persistentVolumeClaims, { namespace, name: 'data-keeper-0' });
    const name = claim?.spec?.volumeName ?? '';
    const before = await kubernetes.get(persistentVolumes, { name });
    await kubernetes.delete(statefulSets, { namespace, name: 'keeper' });
    await eventually(async () => (await readyPods(space, 'keeper')).length === 0, 60_000);
    await kubernetes.delete(persistentVolumeClaims, { namespace, name: 'data-keeper-0' });
    await eventually(async () => {
      const after = await kubernetes.get(persistentVolumes, { name });
      expect(after?.status?.phase).toBe('Available');
      expect(after?.metadata.uid).not.toBe(before?.metadata.uid);
    }, 60_000);
    const path = before?.spec?.local?.path ?? '';
    expect((await control.exec(node, ['ls', '-A', path])).stdout).toBe('');
  }, 300_000);
});

describe('a node', () => {
  it('is lost to the others when its cable is cut, and comes back', async () => {
    const { control } = space;
    const { name } = await echoOn('n1');
    const { address } = await echoOn('n2');
    await control.order({ kind: 'cut', node: 'n2' });
    expect(await get(name, `http://${address}:8080/`)).toBeUndefined();
    await eventually(async () => !(await isNodeReady('n2')), 60_000);
    await control.order({ kind: 'heal', node: 'n2' });
    await eventually(() => isNodeReady('n2'), 60_000);
    await eventually(async () => {
      const again = await echoOn('n2');
      expect(await get(name, `http://${again.address}:8080/`)).toMatch(/node=n2/);
    }, 60_000);
  }, 240_000);

  it('keeps its pods while kubelet and containerd are down, and is Ready again after them', async () => {
    const { control } = space;
    const { name } = await echoOn('n1');
    const { address } = await echoOn('n3');
    for (const program of ['kubelet', 'containerd']) await control.order({ kind: 'stop', node: 'n3', program });
    await eventually(async () => !(await isNodeReady('n3')), 60_000);
    expect(await get(name, `http://${address}:8080/`)).toMatch(/node=n3/);
    for (const program of ['containerd', 'kubelet']) await control.order({ kind: 'resume', node: 'n3', program });
    await eventually(() => isNodeReady('n3'), 60_000);
    await eventually(async () => expect((await echoOn('n3')).address).toBe(address), 60_000);
  }, 240_000);
});
