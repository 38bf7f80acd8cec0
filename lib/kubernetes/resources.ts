import type {
  EventsV1Event,
  V1ConfigMap,
  V1ControllerRevision,
  V1DaemonSet,
  V1Deployment,
  V1EndpointSlice,
  V1Job,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1Node,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1Pod,
  V1PodDisruptionBudget,
  V1Secret,
  V1Service,
  V1ServiceAccount,
  V1StatefulSet,
  V1StorageClass,
} from '@kubernetes/client-node';
import type { KubernetesObject, Wire } from './object.ts';
import { defineResource } from './resource.ts';

/*
 * The resources of Kubernetes itself that programs here use. A further one is a line; the type is the generated one of
 * @kubernetes/client-node as it is on the wire.
 */

export type ConfigMap = Wire<V1ConfigMap>;
export type ControllerRevision = Wire<V1ControllerRevision>;
export type DaemonSet = Wire<V1DaemonSet>;
export type Deployment = Wire<V1Deployment>;
export type EndpointSlice = Wire<V1EndpointSlice>;
export type Event = Wire<EventsV1Event>;
/** A job of the group `batch`. */
export type Job = Wire<V1Job>;
export type Lease = Wire<V1Lease>;
export type Namespace = Wire<V1Namespace>;
export type NetworkPolicy = Wire<V1NetworkPolicy>;
export type Node = Wire<V1Node>;
export type PersistentVolume = Wire<V1PersistentVolume>;
export type PersistentVolumeClaim = Wire<V1PersistentVolumeClaim>;
export type Pod = Wire<V1Pod>;
export type PodDisruptionBudget = Wire<V1PodDisruptionBudget>;
export type Secret = Wire<V1Secret>;
export type Service = Wire<V1Service>;
export type ServiceAccount = Wire<V1ServiceAccount>;
export type StatefulSet = Wire<V1StatefulSet>;
export type StorageClass = Wire<V1StorageClass>;

const core = { group: '', version: 'v1' } as const;
const apps = { group: 'apps', version: 'v1' } as const;

export const configMaps = defineResource<ConfigMap>({ ...core, kind: 'ConfigMap', plural: 'configmaps' });
export const namespaces = defineResource<Namespace>({
  ...core,
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
});
export const nodes = defineResource<Node>({ ...core, kind: 'Node', plural: 'nodes', namespaced: false });
export const persistentVolumes = defineResource<PersistentVolume>({
  ...core,
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  namespaced: false,
});
export const persistentVolumeClaims = defineResource<PersistentVolumeClaim>({
  ...core,
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
});
export const pods = defineResource<Pod>({ ...core, kind: 'Pod', plural: 'pods' });
export const secrets = defineResource<Secret>({ ...core, kind: 'Secret', plural: 'secrets' });
export const services = defineResource<Service>({ ...core, kind: 'Service', plural: 'services' });
export const serviceAccounts = defineResource<ServiceAccount>({
  ...core,
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
});
export const controllerRevisions = defineResource<ControllerRevision>({
  ...apps,
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
});
export const daemonSets = defineResource<DaemonSet>({ ...apps, kind: 'DaemonSet', plural: 'daemonsets' });
export const deployments = defineResource<Deployment>({ ...apps, kind: 'Deployment', plural: 'deployments' });
export const statefulSets = defineResource<StatefulSet>({ ...apps, kind: 'StatefulSet', plural: 'statefulsets' });
/** Jobs of the group `batch`. */
export const jobs = defineResource<Job>({ group: 'batch', version: 'v1', kind: 'Job', plural: 'jobs' });
export const leases = defineResource<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
});
export const endpointSlices = defineResource<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
});
export const events = defineResource<Event>({
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
});
export const networkPolicies = defineResource<NetworkPolicy>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
});
export const podDisruptionBudgets = defineResource<PodDisruptionBudget>({
  group: 'policy',
  version: 'v1',
  kind: 'PodDisruptionBudget',
  plural: 'poddisruptionbudgets',
});
export const storageClasses = defineResource<StorageClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  namespaced: false,
});

/** A CustomResourceDefinition, with a schema that nobody here reads. */
export type CustomResourceDefinition = KubernetesObject & {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};
export const customResourceDefinitions = defineResource<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
});
