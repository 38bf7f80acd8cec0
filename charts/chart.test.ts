import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { operatorConfigSchema } from '../operator/config.ts';
import { CHART, type Helm, type Manifest, NAMESPACE, startHelm } from './testing.ts';

let helm: Helm;

beforeAll(async () => {
  helm = await startHelm();
}, 1_800_000);

afterAll(() => helm?.close());

const named = (objects: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = objects.find(object => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
};
const ofKind = (objects: readonly Manifest[], kind: string) => objects.filter(object => object.kind === kind);

describe('the chart', () => {
  it('has nothing that helm lint complains about', async () => {
    expect(await helm.run(['lint', '--strict', CHART])).toContain('0 chart(s) failed');
  });

  it('brings the definitions, which stay when the release goes', async () => {
    const crds = ofKind(await helm.render(), 'CustomResourceDefinition');
    expect(crds.map(({ metadata }) => metadata.name).sort()).toEqual([
      'mantaregions.manta.io',
      'shards.manta.io',
      'storagenodes.manta.io',
    ]);
    for (const { metadata } of crds)
      expect(metadata).toMatchObject({ annotations: { 'helm.sh/resource-policy': 'keep' } });
  });

  it('for a second region leaves out what the cluster has once', async () => {
    const values = {
      crds: { install: false },
      priorityClasses: { create: false },
      localVolumeClass: { create: false },
    };
    const objects = await helm.render({ ...values, localVolumes: [{ node: 'a', path: '/v', size: '1Gi' }] });
    for (const kind of ['CustomResourceDefinition', 'PriorityClass', 'StorageClass'])
      expect(ofKind(objects, kind)).toEqual([]);
  });

  it('names what lies outside of namespaces for its namespace, so that two releases never meet', async () => {
    const shared = ['CustomResourceDefinition', 'PriorityClass'];
    const outside = /^(Cluster|ValidatingAdmission)/;
    const objects = (await helm.render()).filter(({ kind }) => outside.test(kind) && !shared.includes(kind));
    expect(objects.length).toBeGreaterThan(10);
    for (const { metadata } of objects) expect(metadata.name).toMatch(new RegExp(`-${NAMESPACE}$`));
  });

  it.each([
    ['an unknown key', { replica: 3 }, /replica/],
    ['an unknown key inside', { image: { regstry: 'x' } }, /regstry/],
    ['a wrong type', { replicas: 'two' }, /replicas/],
    ['an unknown level', { logLevel: 'loud' }, /logLevel/],
    ['a volume without a size', { localVolumes: [{ node: 'a', path: '/v' }] }, /size/],
    ['a network without its length', { networkPolicies: { apiServerCIDRs: ['10.0.0.1'] } }, /apiServerCIDRs/],
  ])('refuses %s', async (_, values, message) => {
    await expect(helm.render(values)).rejects.toThrow(message);
  });

  it('takes every key of its values file', async () => {
    const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
    await expect(helm.render(values)).resolves.toBeDefined();
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'));
    expect(Object.keys(schema.properties).filter(key => key !== 'global')).toEqual(Object.keys(values));
  });

  it('can be packed, and the package renders the same', async () => {
    const said = await helm.run(['package', CHART, '--destination', helm.home]);
    const [archive = ''] = /\/\S+\.tgz/.exec(said) ?? [];
    expect(await helm.run(['template', 'manta', archive])).toBe(await helm.run(['template', 'manta', CHART]));
  });
});

describe('the operator', () => {
  it('is two pods of the version of the chart, of which two nodes are preferred', async () => {
    const { spec } = named(await helm.render(), 'Deployment', 'manta-operator');
    expect(spec.replicas).toBe(2);
    expect(spec.template.spec.containers[0].image).toBe('manta/operator:0.1.0');
    const terms = spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution;
    expect(terms[0].podAffinityTerm.topologyKey).toBe('kubernetes.io/hostname');
  });

  it('may be pinned to a digest', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const objects = await helm.render({ image: { registry: 'registry.example.net/manta', digest, tag: 'ignored' } });
    const { spec } = named(objects, 'Deployment', 'manta-operator');
    expect(spec.template.spec.containers[0].image).toBe(`registry.example.net/manta/operator@${digest}`);
  });

  it('understands what it is told, and takes its region and its images from there', async () => {
    const config = async (values: object) =>
      operatorConfigSchema.parse(
        parse(named(await helm.render(values), 'ConfigMap', 'manta-operator').data['operator.yaml']),
      );
    expect(await config({})).toMatchObject({ namespace: NAMESPACE, images: { registry: 'manta', version: '0.1.0' } });
    const metricsFrom = [{ podSelector: { matchLabels: { app: 'prometheus' } } }];
    const networkPolicies = { enabled: false, apiServerCIDRs: ['10.0.0.1/32', '10.0.0.2/32'], metricsFrom };
    const image = { registry: 'registry.example.net:5000/manta', tag: '1.10' };
    expect(await config({ image, networkPolicies, logLevel: 'debug' })).toMatchObject({
      images: { registry: image.registry, version: '1.10' },
      networkPolicies,
      logLevel: 'debug',
    });
  });

  it('is replaced when what it is told changes, and not otherwise', async () => {
    const mark = async (values: object) =>
      named(await helm.render(values), 'Deployment', 'manta-operator').spec.template.metadata.annotations;
    expect(await mark({ logLevel: 'debug' })).not.toEqual(await mark({}));
    expect(await mark({ replicas: 3 })).toEqual(await mark({}));
  });

  it('has rights on Secrets by name alone, and none to list them', async () => {
    const { rules } = named(await helm.render(), 'Role', 'manta-operator');
    const onSecrets = rules.filter((rule: { resources: string[] }) => rule.resources.includes('secrets'));
    for (const { verbs, resourceNames } of onSecrets) {
      if (resourceNames === undefined) expect(verbs).toEqual(['create']);
      else expect(verbs).toEqual(['get', 'update', 'patch', 'delete']);
    }
    expect(onSecrets).toHaveLength(2);
  });

  it('outside of its namespace only reads nodes, volumes and storage classes', async () => {
    const { rules } = named(await helm.render(), 'ClusterRole', `manta-operator-${NAMESPACE}`);
    expect(rules.flatMap(({ resources }: { resources: string[] }) => resources)).toEqual([
      'nodes',
      'persistentvolumes',
      'storageclasses',
    ]);
    for (const { verbs } of rules) expect(verbs).toEqual(['get', 'list']);
  });

  it('with known API servers opens its control port to them and to those who read metrics', async () => {
    const from = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } };
    const objects = await helm.render({ networkPolicies: { apiServerCIDRs: ['10.0.0.1/32'], metricsFrom: [from] } });
    const { spec } = named(objects, 'NetworkPolicy', 'manta-operator');
    expect(spec.ingress).toEqual([
      { ports: [{ port: 'control', protocol: 'TCP' }], from: [{ ipBlock: { cidr: '10.0.0.1/32' } }, from] },
    ]);
    expect(spec.egress[0]).toEqual({ to: [{ ipBlock: { cidr: '10.0.0.1/32' } }] });
  });
});

describe('local volumes', () => {
  it('are one PersistentVolume per directory, bound to its node, under a name that never changes', async () => {
    const localVolumes = [
      { node: 'node-a', path: '/var/lib/manta/one', size: '5Gi' },
      { node: 'node-b', path: '/var/lib/manta/one', size: '5Gi' },
    ];
    const volumes = ofKind(await helm.render({ localVolumes }), 'PersistentVolume');
    expect(volumes).toHaveLength(2);
    expect(volumes[0]).toMatchObject({
      spec: {
        storageClassName: 'manta-local',
        capacity: { storage: '5Gi' },
        persistentVolumeReclaimPolicy: 'Retain',
        local: { path: '/var/lib/manta/one' },
      },
    });
    const [again] = ofKind(await helm.render({ localVolumes: localVolumes.slice(1) }), 'PersistentVolume');
    expect(again?.metadata.name).toBe(volumes[1]?.metadata.name);
  });

  it('the values for the lab are enough for its region on three nodes', async () => {
    const values = parse(readFileSync(join(CHART, 'samples', 'lab-values.yaml'), 'utf8'));
    const volumes = ofKind(await helm.render(values), 'PersistentVolume');
    const sizes = volumes.map(({ spec }) => spec.capacity.storage);
    const of = (size: string) => sizes.filter(found => found === size).length;
    // Of three nodes each has a member, a peer of two shards with two volumes, and a storage node.
    expect([of('8Gi'), of('20Gi'), of('5Gi'), of('50Gi')]).toEqual([3, 6, 6, 3]);
  });
});
