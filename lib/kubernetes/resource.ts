import { MantaError } from '../errors/manta-error.ts';
import type { KubernetesObject, ObjectKey } from './object.ts';

declare const objectType: unique symbol;

/** Where the objects of one kind are in the API. The type parameter says what they look like. */
export interface Resource<T extends KubernetesObject = KubernetesObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never there: carries the type. */
  readonly [objectType]?: T;
}

/** Describes a resource whose objects are of type `T`. */
export function defineResource<T extends KubernetesObject>(description: {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced?: boolean;
}): Resource<T> {
  return { namespaced: true, ...description };
}

/** `group/version`, or the version alone for the core group: an object's `apiVersion`. */
export function apiVersionOf({ group, version }: Pick<Resource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The path of all objects of a resource, in one namespace or in all. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${apiVersionOf(resource)}`;
  if (namespace === undefined || !resource.namespaced) return `${root}/${resource.plural}`;
  return `${root}/namespaces/${segment(namespace)}/${resource.plural}`;
}

/** The path of one object. Throws MantaError `InvalidParameter` for a key without the parts that the resource needs. */
export function objectPath(resource: Resource, key: ObjectKey, subresource?: string): string {
  if (resource.namespaced && key.namespace === undefined) {
    throw new MantaError('InvalidParameter', `${resource.plural} are namespaced: ${key.name} lacks a namespace`);
  }
  const path = `${collectionPath(resource, key.namespace)}/${segment(key.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** An empty name would address the whole collection: a DELETE of one object would be one of all. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..') throw new MantaError('InvalidParameter', `no name: "${name}"`);
  return encodeURIComponent(name);
}
