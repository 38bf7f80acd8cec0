import type { V1ObjectMeta, V1OwnerReference } from '@kubernetes/client-node';

/**
 * A generated type as its JSON really is: dates are RFC 3339 strings, names that the generator had to escape (`_from`)
 * are themselves again. Read-only all through, because objects that were read are shared by everyone who reads a cache.
 */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Wire<Item>[]
    : T extends object
      ? { readonly [Key in keyof T as Key extends `_${infer Name}` ? Name : Key]: Wire<T[Key]> }
      : T;

export type ObjectMeta = Wire<V1ObjectMeta>;
export type OwnerReference = Wire<V1OwnerReference>;

/** What every object has. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: ObjectMeta;
}

/** What the server has added to the metadata of every object that it has stored. */
export type StoredMeta = ObjectMeta & {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
};

/** An object that came from the server. */
export type Stored<T extends KubernetesObject> = T & { readonly metadata: StoredMeta };

/** Part of an object: what someone wants to be true of it. */
export type DeepPartial<T> = T extends readonly (infer Item)[]
  ? readonly DeepPartial<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]?: DeepPartial<T[Key]> }
    : T;

/** What server-side apply takes: the fields that the field manager wants to own, and the object's name. */
export type Intent<T extends KubernetesObject> = {
  readonly [Key in Exclude<keyof T, 'metadata'>]?: DeepPartial<T[Key]>;
} & {
  readonly metadata: Partial<ObjectMeta> & { readonly name: string };
};

/** Which object of a resource. `namespace` is there exactly when the resource is namespaced. */
export interface ObjectKey {
  readonly namespace?: string;
  readonly name: string;
}

/** The key of an object. */
export function keyOf(object: {
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
}): ObjectKey {
  const { name = '', namespace } = object.metadata ?? {};
  return namespace === undefined ? { name } : { namespace, name };
}

/** `namespace/name`, or the name alone: one string per object of a resource, as people write it. */
export function textOfKey({ namespace, name }: ObjectKey): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
