import type { KubernetesObject, OwnerReference, Stored } from '../../lib/kubernetes/object.ts';
import { apiVersionOf, type Resource } from '../../lib/kubernetes/resource.ts';
import type { MapToRequests } from './controller.ts';

/** For `metadata.ownerReferences` of what `owner` controls: it goes when its owner goes. */
export function controllerReference<T extends KubernetesObject>(
  resource: Resource<T>,
  owner: Stored<T>,
): OwnerReference {
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The reference to the controlling owner, if it has one. */
export function controllerOf(object: KubernetesObject): OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find(({ controller }) => controller === true);
}

/** True when exactly this `owner` controls `object`, not one of the same name before it. */
export function isControlledBy(object: KubernetesObject, owner: Stored<KubernetesObject>): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid;
}

/** For `watching`: the object itself. */
export const toSelf: MapToRequests<KubernetesObject> = ({ metadata }) => [
  metadata.namespace === undefined ? { name: metadata.name } : { namespace: metadata.namespace, name: metadata.name },
];

/** For `watching`: the object's controlling owner, when that is of this kind. */
export function toController(resource: Resource): MapToRequests<KubernetesObject> {
  const group = `${resource.group}/`;
  return object => {
    const owner = controllerOf(object);
    if (owner?.kind !== resource.kind || !`${owner.apiVersion}`.startsWith(resource.group === '' ? 'v' : group))
      return [];
    const { namespace } = object.metadata;
    return [namespace === undefined || !resource.namespaced ? { name: owner.name } : { namespace, name: owner.name }];
  };
}
