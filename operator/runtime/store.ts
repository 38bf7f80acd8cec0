import { type KubernetesObject, keyOf, type ObjectKey, type Stored, textOfKey } from '../../lib/kubernetes/object.ts';

/** The values under which an index finds an object. */
export type IndexBy<T extends KubernetesObject> = (object: Stored<T>) => readonly string[];

/** Objects by key and by the values of named indexes. */
export interface Store<T extends KubernetesObject> {
  get(key: ObjectKey): Stored<T> | undefined;
  /** All, or those of one namespace, in no particular order. */
  list(namespace?: string): readonly Stored<T>[];
  /** Throws for an index that was not added: a mistake of the program. */
  byIndex(index: string, value: string): readonly Stored<T>[];
  size(): number;
  /** Returns what was there before. */
  put(object: Stored<T>): Stored<T> | undefined;
  remove(key: ObjectKey): Stored<T> | undefined;
  /** Adds an index over what is there and what comes; the same name again must be the same function. */
  addIndex(index: string, by: IndexBy<T>): void;
}

interface Index<T extends KubernetesObject> {
  readonly by: IndexBy<T>;
  readonly keysOf: Map<string, Set<string>>;
}

export function createStore<T extends KubernetesObject>(): Store<T> {
  const objects = new Map<string, Stored<T>>();
  const indexes = new Map<string, Index<T>>();

  function enter({ by, keysOf }: Index<T>, key: string, object: Stored<T>): void {
    for (const value of by(object)) {
      const keys = keysOf.get(value);
      if (keys === undefined) keysOf.set(value, new Set([key]));
      else keys.add(key);
    }
  }

  function leave({ by, keysOf }: Index<T>, key: string, object: Stored<T>): void {
    for (const value of by(object)) {
      const keys = keysOf.get(value);
      keys?.delete(key);
      if (keys?.size === 0) keysOf.delete(value);
    }
  }

  return {
    get: key => objects.get(textOfKey(key)),

    list(namespace) {
      const all = [...objects.values()];
      return namespace === undefined ? all : all.filter(({ metadata }) => metadata.namespace === namespace);
    },

    byIndex(index, value) {
      const found = indexes.get(index);
      if (found === undefined) throw new Error(`there is no index ${index}`);
      return [...(found.keysOf.get(value) ?? [])].map(key => objects.get(key) as Stored<T>);
    },

    size: () => objects.size,

    put(object) {
      const key = textOfKey(keyOf(object));
      const before = objects.get(key);
      for (const index of indexes.values()) {
        if (before !== undefined) leave(index, key, before);
        enter(index, key, object);
      }
      objects.set(key, object);
      return before;
    },

    remove(of) {
      const key = textOfKey(of);
      const before = objects.get(key);
      if (before === undefined) return undefined;
      for (const index of indexes.values()) leave(index, key, before);
      objects.delete(key);
      return before;
    },

    addIndex(name, by) {
      const existing = indexes.get(name);
      if (existing?.by === by) return;
      if (existing !== undefined) throw new Error(`index ${name} means something else already`);
      const index: Index<T> = { by, keysOf: new Map() };
      for (const [key, object] of objects) enter(index, key, object);
      indexes.set(name, index);
    },
  };
}
