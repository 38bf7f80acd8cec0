import type { Intent, KubernetesObject, Stored } from '../lib/kubernetes/object.ts';
import type { Resource } from '../lib/kubernetes/resource.ts';
import type {
  ConfigMap,
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Service,
  StatefulSet,
} from '../lib/kubernetes/resources.ts';
import type { Applied } from '../operator/runtime/applier.ts';
import type { Informer } from '../operator/runtime/informer.ts';
import { controllerReference } from '../operator/runtime/owner.ts';
import type { ControllerDeps } from './deps.ts';

/** An object that a controller wants to be there, by the informer that shows it. */
export type OwnedObject =
  | { readonly in: 'configMaps'; readonly intent: Intent<ConfigMap> }
  | { readonly in: 'services'; readonly intent: Intent<Service> }
  | { readonly in: 'budgets'; readonly intent: Intent<PodDisruptionBudget> }
  | { readonly in: 'statefulSets'; readonly intent: Intent<StatefulSet> }
  | { readonly in: 'deployments'; readonly intent: Intent<Deployment> }
  | { readonly in: 'networkPolicies'; readonly intent: Intent<NetworkPolicy> }
  | { readonly in: 'claims'; readonly intent: Intent<PersistentVolumeClaim> };

/** Applies an object that goes when its owner goes. Sends nothing when nothing would change. Throws ApiError. */
export function applyOwned<Owner extends KubernetesObject>(
  { applier, informers }: Pick<ControllerDeps, 'applier' | 'informers'>,
  owner: { readonly resource: Resource<Owner>; readonly object: Stored<Owner> },
  wanted: OwnedObject,
  signal: AbortSignal,
): Promise<Applied<KubernetesObject>> {
  const ownerReferences = [controllerReference(owner.resource, owner.object)];
  const intent = { ...wanted.intent, metadata: { ...wanted.intent.metadata, ownerReferences } };
  return applier.apply(generic(informers[wanted.in]), intent as Intent<KubernetesObject>, { signal });
}

/** Applies an object that outlives everybody, such as a claim. */
export function applyFree(
  { applier, informers }: Pick<ControllerDeps, 'applier' | 'informers'>,
  wanted: OwnedObject,
  signal: AbortSignal,
): Promise<Applied<KubernetesObject>> {
  return applier.apply(generic(informers[wanted.in]), wanted.intent as Intent<KubernetesObject>, { signal });
}

/** Informer and intent come as a pair of one kind; past this point only their kinds differ. */
function generic(informer: unknown): Informer<KubernetesObject> {
  return informer as Informer<KubernetesObject>;
}
