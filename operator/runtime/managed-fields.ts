import type { KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';

/** The object without the `managedFields` of everyone but `managers`. */
export function keepFieldsOf<T extends KubernetesObject>(object: Stored<T>, managers: readonly string[]): Stored<T> {
  const entries = object.metadata.managedFields;
  if (entries === undefined) return object;
  const kept = entries.filter(({ manager }) => manager !== undefined && managers.includes(manager));
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata: kept.length === 0 ? metadata : { ...metadata, managedFields: kept } };
}
