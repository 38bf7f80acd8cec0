import { ApiError } from '../../lib/kubernetes/api-error.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { type KubernetesObject, keyOf, type Stored } from '../../lib/kubernetes/object.ts';
import type { Resource } from '../../lib/kubernetes/resource.ts';

/** True when the object is to go, and waits for its finalizers. */
export function isBeingDeleted(object: KubernetesObject): boolean {
  return object.metadata?.deletionTimestamp !== undefined;
}

export function hasFinalizer(object: KubernetesObject, finalizer: string): boolean {
  return object.metadata?.finalizers?.includes(finalizer) ?? false;
}

/**
 * Adds a finalizer, so that the object stays until it is taken off; nothing is sent when it is there. Throws
 * `ApiConflict` when the object has changed since it was read, `ApiNotFound` when it is gone.
 */
export async function addFinalizer<T extends KubernetesObject>(
  kubernetes: Pick<Kubernetes, 'patch'>,
  resource: Resource<T>,
  object: Stored<T>,
  finalizer: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Stored<T>> {
  if (hasFinalizer(object, finalizer)) return object;
  return write(kubernetes, resource, object, [...(object.metadata.finalizers ?? []), finalizer], options);
}

/** Takes a finalizer off; with the last one a deleted object goes. It may be gone already. Throws `ApiConflict`. */
export async function removeFinalizer<T extends KubernetesObject>(
  kubernetes: Pick<Kubernetes, 'patch'>,
  resource: Resource<T>,
  object: Stored<T>,
  finalizer: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  if (!hasFinalizer(object, finalizer)) return;
  const left = object.metadata.finalizers?.filter(other => other !== finalizer) ?? [];
  try {
    await write(kubernetes, resource, object, left, options);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

/** The list has no keys in a merge patch, so the patch holds only for the version that it was made from. */
function write<T extends KubernetesObject>(
  kubernetes: Pick<Kubernetes, 'patch'>,
  resource: Resource<T>,
  object: Stored<T>,
  finalizers: readonly string[],
  options: { readonly signal?: AbortSignal },
): Promise<Stored<T>> {
  const { uid, resourceVersion } = object.metadata;
  const body = { metadata: { uid, resourceVersion, finalizers } };
  return kubernetes.patch(resource, keyOf(object), { type: 'merge', body }, options);
}
