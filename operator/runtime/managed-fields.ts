import { isDeepStrictEqual } from 'node:util';
import type { KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';

type Entry = NonNullable<NonNullable<KubernetesObject['metadata']>['managedFields']>[number];

/** Different texts of `fieldsV1` that objects share; those that name an owner are different for each. */
const MAX_SHARED = 256;

/**
 * Makes a function that leaves only the `managedFields` of `managers` in an object, and those packed: as text they take a
 * fifth of the memory, and most objects of a kind share theirs. What reads them here unpacks them; the client never sends
 * any.
 */
export function createFieldPacker(
  managers: readonly string[],
): <T extends KubernetesObject>(object: Stored<T>) => Stored<T> {
  const shared = new Map<string, Entry>();

  function pack({ time: _, ...entry }: Entry): Entry {
    const text = JSON.stringify(entry);
    const known = shared.get(text);
    if (known !== undefined) return known;
    const packed = { ...entry, fieldsV1: JSON.stringify(entry.fieldsV1) as unknown as object };
    if (shared.size >= MAX_SHARED) shared.clear();
    shared.set(text, packed);
    return packed;
  }

  return object => {
    const { managedFields, ...metadata } = object.metadata;
    if (managedFields === undefined) return object;
    const kept = managedFields.filter(({ manager }) => manager !== undefined && managers.includes(manager)).map(pack);
    return { ...object, metadata: kept.length === 0 ? metadata : { ...metadata, managedFields: kept } };
  };
}

/** `fieldsV1`: `f:` a field, `k:` an item of a list by its keys, `v:` a member of a set, `.` the thing itself. */
export interface FieldSet {
  readonly [path: string]: FieldSet;
}

/** What `manager` owns by server-side apply; undefined when it has never applied. */
export function fieldsAppliedBy(
  object: KubernetesObject,
  manager: string,
  subresource: string | undefined,
): FieldSet | undefined {
  const entry = object.metadata?.managedFields?.find(
    found =>
      found.manager === manager &&
      found.operation === 'Apply' &&
      (found.subresource ?? '') === (subresource ?? '') &&
      found.fieldsType === 'FieldsV1',
  );
  const fields: unknown = entry?.fieldsV1;
  return typeof fields === 'string' ? JSON.parse(fields) : (fields as FieldSet | undefined);
}

/** What only addresses the object; nobody owns it. */
const ADDRESS = ['name', 'namespace', 'uid', 'resourceVersion'];

/**
 * True when applying `intent` would certainly change nothing: the manager owns exactly the fields of the intent, and
 * they have its values. False also where the server writes values in a form of its own (a cpu of `0.5` is `500m`).
 * `intent` is as JSON has it, without undefined values.
 */
export function isApplied(intent: KubernetesObject, object: KubernetesObject, fields: FieldSet): boolean {
  const { apiVersion: _a, kind: _k, metadata, ...rest } = intent;
  const own = Object.entries(metadata ?? {}).filter(([name]) => !ADDRESS.includes(name));
  const wanted = own.length === 0 ? rest : { ...rest, metadata: Object.fromEntries(own) };
  return covers(fields, wanted, object);
}

/** The values that `object` has in `fields`: what an apply last set, or what someone has made of it since. */
export function valuesIn(fields: FieldSet, object: unknown): unknown {
  const paths = pathsOf(fields);
  if (paths.length === 0) return object;
  return paths.map(path => {
    const value = valueAt(path, object);
    return [path, value === undefined ? undefined : valuesIn(fields[path] as FieldSet, value)];
  });
}

function covers(fields: FieldSet, wanted: unknown, actual: unknown): boolean {
  const paths = pathsOf(fields);
  if (paths.length === 0) return isDeepStrictEqual(wanted, actual);
  if (!isContainer(wanted) || !isContainer(actual)) return false;
  if (sizeOf(wanted) !== paths.length) return false;
  if (Array.isArray(wanted) && Array.isArray(actual) && !isInOrder(paths, wanted, actual)) return false;
  return paths.every(path => {
    const [want, have] = [valueAt(path, wanted), valueAt(path, actual)];
    // The server keeps no empty map or list, but who owns it.
    if (have === undefined) return isContainer(want) && sizeOf(want) === 0;
    return want !== undefined && covers(fields[path] as FieldSet, want, have);
  });
}

/** The order of a list with keys is part of what is applied, and no field of its own. */
function isInOrder(paths: readonly string[], wanted: readonly unknown[], actual: readonly unknown[]): boolean {
  const order = (items: readonly unknown[]) =>
    [...paths].sort((a, b) => items.indexOf(valueAt(a, items)) - items.indexOf(valueAt(b, items)));
  return isDeepStrictEqual(order(wanted), order(actual));
}

function pathsOf(fields: FieldSet): readonly string[] {
  return Object.keys(fields).filter(path => path !== '.');
}

function sizeOf(container: object): number {
  return Array.isArray(container) ? container.length : Object.keys(container).length;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The value at one step of a field set. Keys that an item leaves to their default match anything. */
function valueAt(path: string, container: unknown): unknown {
  const [kind, rest] = [path.slice(0, 2), path.slice(2)];
  if (kind === 'f:') {
    return isContainer(container) ? (container as Readonly<Record<string, unknown>>)[rest] : undefined;
  }
  if (!Array.isArray(container)) return undefined;
  const given: unknown = JSON.parse(rest);
  if (kind === 'v:') return container.find(item => isDeepStrictEqual(item, given));
  const keys = Object.entries(given as object);
  return container.find(item => keys.every(([key, value]) => item?.[key] === undefined || item[key] === value));
}
