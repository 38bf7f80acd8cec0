import type { Intent, KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';
import type { Resource } from '../../lib/kubernetes/resource.ts';
import {
  configMaps,
  deployments,
  persistentVolumeClaims,
  podDisruptionBudgets,
  services,
  statefulSets,
} from '../../lib/kubernetes/resources.ts';
import { aRegion } from '../../lib/resources/testing.ts';
import type { MantaRegion, MantaRegionSpec, Shard, StorageNode } from '../../lib/resources/types.ts';
import {
  nameserviceBudget,
  nameserviceConfigMap,
  nameserviceService,
  nameserviceStatefulSet,
} from '../manta-region/nameservice/objects.ts';
import { programBudget, programConfigMap } from '../manta-region/programs/deployment.ts';
import { frontDoorService, loadbalancerConfig, loadbalancerDeployment } from '../manta-region/programs/loadbalancer.ts';
import { webapiConfig, webapiDeployment, webapiService } from '../manta-region/programs/webapi.ts';
import { missingShards, missingStorageNodes } from '../manta-region/templates.ts';
import { type RegionView, viewOf } from '../region-view.ts';
import { primaryService, shardBudget, shardConfigMap, shardService, shardStatefulSet } from '../shard/objects.ts';
import {
  storageBudget,
  storageClaim,
  storageConfig,
  storageConfigMap,
  storageService,
  storageStatefulSet,
} from '../storage-node/objects.ts';

/** A region of a namespace, stored. */
export function aStoredRegion(namespace: string, spec: Partial<MantaRegionSpec> = {}): Stored<MantaRegion> {
  const { metadata, ...region } = aRegion(spec);
  const stored = { uid: 'uid-region', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', generation: 1 };
  return { ...region, metadata: { ...metadata, name: 'us-east', namespace, ...stored } };
}

/** The same as builders see it. */
export function aView(namespace: string, spec: Partial<MantaRegionSpec> = {}): RegionView {
  return viewOf(aStoredRegion(namespace, spec), {
    registry: 'registry.test/manta',
    version: '1.0.0',
    priorityClass: 'manta-critical',
  });
}

const zones = ['us-east-1a', 'us-east-1b', 'us-east-1c'];

/** One region of each profile. */
export const profiles: [string, (namespace: string) => RegionView][] = [
  ['dev', namespace => aView(namespace)],
  ['lab', namespace => aView(namespace, { profile: 'lab', zones })],
  [
    'production',
    namespace =>
      aView(namespace, {
        profile: 'production',
        zones,
        storageTemplate: { perZone: 1, volume: { class: 'local-bulk', size: '250Ti' } },
        frontDoor: {
          hostnames: ['us-east.manta.example.net'],
          service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', sourceRanges: ['192.0.2.0/24'] },
          tls: { secretName: 'front-door' },
          trustedProxies: ['198.51.100.0/24'],
          throttle: { enabled: true, concurrency: 50, queue: 25 },
        },
        placement: { tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'manta', effect: 'NoSchedule' }] },
      }),
  ],
];

/** One object that is applied. */
export interface Rendered {
  readonly resource: Resource<KubernetesObject>;
  readonly intent: Intent<KubernetesObject>;
}

/** Everything that the controllers apply for a region with all objects of its templates. */
export function allObjects(region: RegionView): readonly Rendered[] {
  const key = { kid: 'k1', publicKids: ['k0', 'k1'] };
  const around = { indexShards: [1, 2], controlShard: 1, regionKey: key };
  const webapi = webapiConfig(region, around);
  const loadbalancer = loadbalancerConfig(region);
  return [
    ...of(configMaps, nameserviceConfigMap(region, 'new'), programConfigMap(region, 'webapi', webapi)),
    ...of(configMaps, programConfigMap(region, 'loadbalancer', loadbalancer)),
    ...of(
      services,
      nameserviceService(region),
      webapiService(region),
      storageService(region),
      frontDoorService(region),
    ),
    ...of(podDisruptionBudgets, nameserviceBudget(region), programBudget(region, 'webapi'), storageBudget(region)),
    ...of(statefulSets, nameserviceStatefulSet(region)),
    ...of(deployments, webapiDeployment(region, around, webapi), loadbalancerDeployment(region, loadbalancer)),
    ...missingShards({ view: region, shards: [] }).flatMap(shard => shardObjects(region, shard)),
    ...missingStorageNodes({
      view: region,
      region: { ...aStoredRegion(region.namespace) },
      shards: [],
      storageNodes: [],
    }).flatMap(node => nodeObjects(region, node, key.publicKids)),
  ];
}

function shardObjects(region: RegionView, { metadata, spec }: Shard): Rendered[] {
  const shard = { name: metadata.name ?? '', spec };
  const laidOut = { replicas: spec.peers, claims: spec.storage };
  return [
    ...of(configMaps, shardConfigMap(region, shard)),
    ...of(services, shardService(region, shard), primaryService(region, shard)),
    ...of(podDisruptionBudgets, shardBudget(region, shard)),
    ...of(statefulSets, shardStatefulSet(region, shard, laidOut)),
  ];
}

function nodeObjects(region: RegionView, { metadata, spec }: StorageNode, publicKids: readonly string[]): Rendered[] {
  const node = { name: metadata.name ?? '', spec };
  const config = storageConfig(region, node, publicKids);
  return [
    ...of(configMaps, storageConfigMap(region, node, config)),
    ...of(persistentVolumeClaims, storageClaim(region, node, spec.volume.size ?? '')),
    ...of(statefulSets, storageStatefulSet(region, node, { config, publicKids })),
  ];
}

function of<T extends KubernetesObject>(resource: Resource<T>, ...intents: readonly Intent<T>[]): Rendered[] {
  return intents.map(intent => ({
    resource: resource as unknown as Resource<KubernetesObject>,
    intent: intent as unknown as Intent<KubernetesObject>,
  }));
}
