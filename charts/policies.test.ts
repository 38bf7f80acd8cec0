import { eventually } from '../lib/eventually/eventually.ts';
import { ApiError } from '../lib/kubernetes/api-error.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import { namespaces, type Pod, persistentVolumeClaims, pods, secrets } from '../lib/kubernetes/resources.ts';
import { annotations } from '../lib/resources/names.ts';
import { aRegion, aShard, aStorageNode, threeZones } from '../lib/resources/testing.ts';
import { type ResourceServer, send, startResourceServer } from '../lib/resources/testing-server.ts';
import { mantaRegions, type Shard, type StorageNode, shards, storageNodes } from '../lib/resources/types.ts';
import { applyManifest, type Manifest, NAMESPACE, startHelm } from './testing.ts';

let resources: ResourceServer;
let rendered: readonly Manifest[];
let admin: Kubernetes;
let operator: Kubernetes;
/** Bound to role manta-operate, to manta-admin and to manta-viewer. */
let jill: Kubernetes;
let root: Kubernetes;
let vera: Kubernetes;

beforeAll(async () => {
  const helm = await startHelm();
  rendered = await helm.render().finally(helm.close);
  resources = await startResourceServer();
  admin = resources.admin;
  operator = await resources.as({ name: `system:serviceaccount:${NAMESPACE}:manta-operator` });
  for (const manifest of rendered)
    if (manifest.kind !== 'CustomResourceDefinition') await applyManifest(admin, manifest);
  [vera, jill, root] = [
    await bind('vera', 'manta-viewer'),
    await bind('jill', 'manta-operate'),
    await bind('root', 'manta-admin'),
  ];
  await inForce();
}, 1_800_000);

afterAll(() => resources?.stop());

async function bind(name: string, role: string): Promise<Kubernetes> {
  await applyManifest(admin, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
  });
  return resources.as({ name });
}

/** The API server reads policies and roles by watches of its own, a moment after they are there. */
async function inForce(): Promise<void> {
  const own = { ...aShard(), spec: { ...aShard().spec, deletionPolicy: 'Destroy' as const } };
  await eventually(async () => (await send(admin, 'POST', own, { dryRun: true })).status === 422, 30_000);
  await eventually(
    async () => (await refusal(() => admin.create(pods, aPod({ hostPID: true }), { dryRun: true }))) !== '',
    30_000,
  );
  await eventually(async () => (await refusal(() => root.list(shards, { namespace: NAMESPACE }))) === '', 30_000);
}

/** What the API server refuses with; empty when it does not. */
async function refusal(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return '';
  } catch (error) {
    if (error instanceof ApiError && [403, 422].includes(error.status ?? 0)) return error.message;
    throw error;
  }
}

let count = 100;

/** Makes a Shard of a new name, with a status. */
async function newShard(spec: Partial<Shard['spec']> = {}, status: Shard['status'] = {}): Promise<string> {
  count += 1;
  const name = `shard-${count}`;
  const shard = await admin.create(shards, { ...aShard(spec), metadata: { name, namespace: NAMESPACE } });
  await admin.replace(shards, { ...shard, status }, { subresource: 'status' });
  return name;
}

async function newStorageNode(status: StorageNode['status'] = {}): Promise<string> {
  count += 1;
  const name = `stor-${count}`;
  const node = await admin.create(storageNodes, { ...aStorageNode(), metadata: { name, namespace: NAMESPACE } });
  await admin.replace(storageNodes, { ...node, status }, { subresource: 'status' });
  return name;
}

async function newClaim(labels: Record<string, string>): Promise<string> {
  count += 1;
  const name = `data-${count}`;
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  await admin.create(persistentVolumeClaims, { metadata: { name, namespace: NAMESPACE, labels }, spec });
  return name;
}

const at = (name: string) => ({ namespace: NAMESPACE, name });
const annotated = (values: Record<string, string>) => ({
  type: 'merge' as const,
  body: { metadata: { annotations: values } },
});

describe('deletion', () => {
  it('refuses a shard that holds vnodes, even for an administrator of the cluster, and says how to go on', async () => {
    const name = await newShard({}, { vnodes: 131_072 });
    const message = await refusal(() => admin.delete(shards, at(name)));
    expect(message).toContain(`${name} holds 131072 vnodes of the namespace`);
    expect(message).toContain(`kubectl annotate shards/${name} manta.io/confirm-data-loss=${name}`);
  });

  it('refuses a shard that hosts what the region needs', async () => {
    const name = await newShard({ databases: ['jobs', 'control'] });
    expect(await refusal(() => admin.delete(shards, at(name)))).toContain(`${name} hosts control, jobs, without which`);
  });

  it('lets go of a shard without vnodes that hosts index alone', async () => {
    const name = await newShard({}, { vnodes: 0 });
    expect(await refusal(() => root.delete(shards, at(name)))).toBe('');
  });

  it('lets go of what is confirmed by its own name, and of nothing that is confirmed by another', async () => {
    const name = await newShard({ databases: ['control'] });
    await admin.patch(shards, at(name), annotated({ [annotations.confirmDataLoss]: 'shard-1' }));
    expect(await refusal(() => admin.delete(shards, at(name)))).toContain(name);
    await admin.patch(shards, at(name), annotated({ [annotations.confirmDataLoss]: name }));
    expect(await refusal(() => admin.delete(shards, at(name)))).toBe('');
  });

  it('does not bind the operator, who has looked', async () => {
    const name = await newShard({ databases: ['control'] });
    expect(await refusal(() => operator.delete(shards, at(name)))).toBe('');
  });

  it('refuses a storage node until it is drained', async () => {
    expect(await refusal(async () => admin.delete(storageNodes, at(await newStorageNode())))).toContain(
      'is not drained',
    );
    const condition = { reason: 'X', message: '', lastTransitionTime: new Date().toISOString() };
    for (const [status, isRefused] of [
      ['False', true],
      ['True', false],
    ] as const) {
      const name = await newStorageNode({ conditions: [{ type: 'Drained', status, ...condition }] });
      expect((await refusal(() => admin.delete(storageNodes, at(name)))) !== '').toBe(isRefused);
    }
  });

  it('refuses claims that are to be retained, and no others', async () => {
    const kept = await newClaim({ 'manta.io/retain': 'true' });
    expect(await refusal(() => admin.delete(persistentVolumeClaims, at(kept)))).toContain(
      `the volume of ${kept} holds data`,
    );
    const other = await newClaim({ app: 'else' });
    expect(await refusal(() => admin.delete(persistentVolumeClaims, at(other)))).toBe('');
  });

  it('knows nothing of other namespaces', async () => {
    await admin.create(namespaces, { metadata: { name: 'elsewhere' } });
    const metadata = { name: 'shard-1', namespace: 'elsewhere' };
    await admin.create(shards, { ...aShard({ databases: ['control'] }), metadata });
    expect(await refusal(() => admin.delete(shards, metadata))).toBe('');
  });
});

describe('destroy', () => {
  const destroy = { deletionPolicy: 'Destroy' } as const;
  const production = aRegion({
    ...destroy,
    profile: 'production',
    zones: threeZones,
    storageTemplate: {},
    frontDoor: { ...aRegion().spec.frontDoor, tls: { secretName: 'x' } },
  });
  const allowed = (name: string) => ({ name, namespace: NAMESPACE, annotations: { [annotations.allowDestroy]: name } });

  it.each([
    ['a shard', aShard(destroy)],
    ['a storage node', aStorageNode(destroy)],
    ['a production region', production],
  ])('refuses Destroy for %s that is not allowed it by name', async (_, object) => {
    const { status, message } = await send(root, 'POST', object, { dryRun: true });
    expect([status, message]).toEqual([422, expect.stringContaining('annotation manta.io/allow-destroy')]);
    const { name = '' } = object.metadata;
    expect((await send(root, 'POST', { ...object, metadata: allowed(name) }, { dryRun: true })).status).toBe(201);
    expect(
      (await send(root, 'POST', { ...object, metadata: { ...allowed('x-1'), name } }, { dryRun: true })).status,
    ).toBe(422);
  });

  it('leaves regions for development to their people', async () => {
    expect((await send(root, 'POST', aRegion(destroy), { dryRun: true })).status).toBe(201);
  });

  it('refuses it afterwards, too', async () => {
    const name = await newShard();
    expect(await refusal(() => jill.patch(shards, at(name), { type: 'merge', body: { spec: destroy } }))).toContain(
      'allow-destroy',
    );
  });

  it('does not hold up the end of what is on its way out', async () => {
    const metadata = { ...allowed('shard-9998'), finalizers: ['manta.io/destroy'] };
    await admin.create(shards, { ...aShard(destroy), metadata });
    await admin.delete(shards, at('shard-9998'));
    await admin.patch(shards, at('shard-9998'), annotated({ [annotations.allowDestroy]: '' }));
    await operator.patch(shards, at('shard-9998'), { type: 'merge', body: { metadata: { finalizers: null } } });
    expect(await admin.get(shards, at('shard-9998'))).toBeUndefined();
  });
});

describe('breakglass', () => {
  const request = (text: string) => annotated({ [annotations.request]: text });
  const takeover = 'r1 force-takeover pg-2-1 --accept-data-loss';
  const frozen = { freeze: { reason: 'data centre is on fire' } };

  it('leaves ordinary requests to those who operate', async () => {
    const name = await newShard();
    expect(await refusal(() => jill.patch(shards, at(name), request('r1 switchover')))).toBe('');
    expect(await refusal(() => vera.patch(shards, at(name), request('r2 switchover')))).toContain('cannot patch');
  });

  it.each([takeover, 'r1 state-repair', '  r1   state-repair  --accept-data-loss'])(
    'keeps "%s" for those who have the verb',
    async text => {
      const name = await newShard(frozen);
      expect(await refusal(() => jill.patch(shards, at(name), request(text)))).toContain('needs verb breakglass');
      expect(await refusal(() => root.patch(shards, at(name), request(text)))).toBe('');
    },
  );

  it('has a takeover forced on a frozen shard alone', async () => {
    const name = await newShard();
    expect(await refusal(() => root.patch(shards, at(name), request(takeover)))).toContain('for a frozen shard');
  });

  it('has a takeover forced only by those who accept the loss', async () => {
    const name = await newShard(frozen);
    expect(await refusal(() => root.patch(shards, at(name), request('r1 force-takeover pg-2-1')))).toContain(
      '--accept-data-loss',
    );
  });

  it('keeps the removal of a finalizer without clean-up for those who have the verb, on all kinds', async () => {
    const name = await newStorageNode();
    const forced = annotated({ [annotations.forceDelete]: name });
    expect(await refusal(() => jill.patch(storageNodes, at(name), forced))).toContain('needs verb breakglass');
    expect(await refusal(() => root.patch(storageNodes, at(name), forced))).toBe('');
    await admin.create(mantaRegions, { ...aRegion(), metadata: at('region') });
    expect(await refusal(() => jill.patch(mantaRegions, at('region'), forced))).toContain('needs verb breakglass');
  });

  it('is not asked again by whoever changes something else later', async () => {
    const name = await newShard(frozen);
    await root.patch(shards, at(name), request(takeover));
    expect(await refusal(() => jill.patch(shards, at(name), { type: 'merge', body: { spec: { freeze: null } } }))).toBe(
      '',
    );
    expect(await refusal(() => operator.patch(shards, at(name), annotated({ seen: 'r1' })))).toBe('');
  });

  it('cannot be got round by making the object anew', async () => {
    const metadata = { ...at('shard-9997'), annotations: { [annotations.request]: 'r1 state-repair' } };
    expect(await refusal(() => operator.create(shards, { ...aShard(), metadata }))).toContain('needs verb breakglass');
  });
});

function aPod(spec: Partial<Pod['spec']> & object, container: object = {}): Pod {
  const containers = [{ name: 'main', image: 'x', ...container }];
  return { metadata: { name: 'pod', namespace: NAMESPACE }, spec: { containers, ...spec } };
}

describe('region-pods', () => {
  const privileged = { securityContext: { privileged: true } };
  it.each<[string, Pod, RegExp]>([
    ['the network of the node', aPod({ hostNetwork: true }), /share the network/],
    ['its processes', aPod({ hostPID: true }), /share the network, the processes/],
    ['its memory', aPod({ hostIPC: true }), /share the network/],
    ['privileges', aPod({}, privileged), /may not be privileged/],
    [
      'privileges at the start',
      aPod({ initContainers: [{ name: 'i', image: 'x', ...privileged }] }),
      /may not be privileged/,
    ],
    [
      'a directory of the node',
      aPod({ volumes: [{ name: 'v', hostPath: { path: '/' } }] }),
      /may not mount directories/,
    ],
  ])('refuses pods with %s', async (_, pod, message) => {
    expect(await refusal(() => admin.create(pods, pod, { dryRun: true }))).toMatch(message);
  });

  it('refuses privileges to a container that is added for a look, and nothing else to it', async () => {
    await admin.create(pods, { ...aPod({}), metadata: at('running') });
    const path = `/api/v1/namespaces/${NAMESPACE}/pods/running/ephemeralcontainers`;
    const headers = { 'content-type': 'application/strategic-merge-patch+json' };
    const add = (container: object) => () => {
      const body = JSON.stringify({ spec: { ephemeralContainers: [{ name: 'look', image: 'x', ...container }] } });
      return admin.json({ method: 'PATCH', path, headers, body });
    };
    expect(await refusal(add(privileged))).toMatch(/may not be privileged/);
    expect(await refusal(add({}))).toBe('');
  });

  it('lets ordinary pods be', async () => {
    const pod = aPod({ volumes: [{ name: 'v', emptyDir: {} }] });
    expect(await refusal(() => admin.create(pods, pod, { dryRun: true }))).toBe('');
  });
});

describe('operator-secrets', () => {
  const secret = (name: string) => ({ metadata: at(name), stringData: { key: 'value' } });

  it('lets the operator make the Secrets of a region and no others', async () => {
    expect(await refusal(() => operator.create(secrets, secret('manta-poseidon')))).toBe('');
    expect(await refusal(() => operator.create(secrets, secret('manta-front-door')))).toContain(
      'may not make a Secret named',
    );
    expect(await refusal(() => admin.create(secrets, secret('manta-front-door')))).toBe('');
  });

  it('goes with rights that let it read those by name, and no others', async () => {
    expect((await operator.get(secrets, at('manta-poseidon')))?.metadata.name).toBe('manta-poseidon');
    expect(await refusal(() => operator.get(secrets, at('manta-front-door')))).toContain('cannot get');
    expect(await refusal(() => operator.list(secrets, { namespace: NAMESPACE }))).toContain('cannot list');
  });
});

describe('advice', () => {
  it('warns of a shard of three that hosts objects and jobs, and takes it', async () => {
    const databases = ['index', 'control', 'jobs', 'ops'] as const;
    const { status, warnings } = await send(admin, 'POST', aShard({ databases }), { dryRun: true });
    expect([status, warnings.join()]).toEqual([201, expect.stringContaining('hosts index and jobs')]);
    expect((await send(admin, 'POST', aShard({ databases, peers: 1 }), { dryRun: true })).warnings).toEqual([]);
  });

  it.each([
    ['Manta', 'survive the loss of a shard, not of the region'],
    ['None', 'makes no backups'],
  ] as const)('warns of production whose backups are %s', async (type, text) => {
    const region = aRegion({
      profile: 'production',
      zones: threeZones,
      storageTemplate: {},
      frontDoor: { ...aRegion().spec.frontDoor, tls: { secretName: 'x' } },
      backup: { target: { type }, recoveryDays: 14 },
    });
    const { status, warnings } = await send(admin, 'POST', region, { dryRun: true });
    expect([status, warnings.join()]).toEqual([201, expect.stringContaining(text)]);
  });

  it('is silent for everybody else', async () => {
    expect((await send(admin, 'POST', aRegion(), { dryRun: true })).warnings).toEqual([]);
    expect((await send(admin, 'POST', aShard(), { dryRun: true })).warnings).toEqual([]);
  });
});

describe('pods of the chart', () => {
  it('are admitted where Pod Security is restricted', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await admin.create(namespaces, { metadata: { name: 'restricted', labels } });
    const operators = rendered.find(({ kind }) => kind === 'Deployment')?.spec.template.spec;
    const test = rendered.find(({ kind }) => kind === 'Pod')?.spec;
    for (const { priorityClassName: _, ...spec } of [operators, test]) {
      const metadata = { name: 'pod', namespace: 'restricted' };
      expect(await refusal(() => admin.create(pods, { metadata, spec }, { dryRun: true }))).toBe('');
    }
    const metadata = { name: 'pod', namespace: 'restricted' };
    expect(await refusal(() => admin.create(pods, { ...aPod({}), metadata }, { dryRun: true }))).toContain(
      'restricted',
    );
  });
});
