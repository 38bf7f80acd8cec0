import type { Logger } from 'pino';
import { type KubernetesObject, keyOf, type ObjectKey, type Stored, textOfKey } from '../../lib/kubernetes/object.ts';
import type { Resource } from '../../lib/kubernetes/resource.ts';
import { createStore, type IndexBy } from './store.ts';

/** What became of one object in the cache. */
export type Change<T extends KubernetesObject> =
  | {
      readonly kind: 'added';
      readonly object: Stored<T>;
      /** It was there before anyone listened: a look at what is, not a change of it. */
      readonly isInitial: boolean;
    }
  | { readonly kind: 'updated'; readonly object: Stored<T>; readonly old: Stored<T> }
  | {
      readonly kind: 'deleted';
      /** As it was last seen. */
      readonly object: Stored<T>;
    };

export type ChangeHandler<T extends KubernetesObject> = (change: Change<T>) => void;

/**
 * A cache of one resource, kept current by a watch and shared by all who read it. Reads answer from memory, also while
 * the API server is away; what they return must not be changed.
 */
export interface Informer<T extends KubernetesObject> {
  readonly resource: Resource<T>;
  get(key: ObjectKey): Stored<T> | undefined;
  list(namespace?: string): readonly Stored<T>[];
  /** What the index that was added as `index` finds under `value`. */
  byIndex(index: string, value: string): readonly Stored<T>[];
  addIndex(index: string, by: IndexBy<T>): void;
  /** True from the first complete list on, for good. */
  hasSynced(): boolean;
  /** Tells of everything that is there, then of every change. Handlers return at once; one that throws is logged. */
  subscribe(handler: ChangeHandler<T>): () => void;
  /**
   * Puts the answer to one's own write into the cache, so that the next look sees it. Ignored when the watch is
   * further on already; what the watch still tells of before it is then skipped.
   */
  observe(object: Stored<T>): void;
  size(): number;
}

/** The side of an informer that the list-watch loop feeds. */
export interface InformerSink<T extends KubernetesObject> {
  /** A list begins; one that was not ended is forgotten. */
  listStarted(): void;
  /** An object of the list. */
  listed(object: Stored<T>): void;
  /** The list is complete: what it did not hold is gone. */
  listEnded(listVersion: string): void;
  /** An event of the watch. */
  told(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: Stored<T>): void;
  /** Everything up to this version has been told. */
  reached(resourceVersion: string): void;
}

/** The cache, without what feeds it. `transform` is applied to every object before it is kept. */
export function createInformer<T extends KubernetesObject>(
  deps: { readonly logger: Logger },
  config: { readonly resource: Resource<T>; readonly transform?: (object: Stored<T>) => Stored<T> },
): { readonly informer: Informer<T>; readonly sink: InformerSink<T> } {
  const { resource, transform = (object: Stored<T>) => object } = config;
  const store = createStore<T>();
  const handlers = new Set<ChangeHandler<T>>();
  /** Own writes that the watch has not reached yet, by key: their version. */
  const ahead = new Map<string, bigint>();
  let listedKeys = new Set<string>();
  let reachedVersion = 0n;
  let synced = false;

  function tell(change: Change<T>, listeners: Iterable<ChangeHandler<T>> = handlers): void {
    for (const handler of listeners) {
      try {
        handler(change);
      } catch (error) {
        deps.logger.error({ err: error, resource: resource.plural }, 'a handler of changes threw');
      }
    }
  }

  function put(object: Stored<T>): void {
    const old = store.get(keyOf(object));
    if (old?.metadata.resourceVersion === object.metadata.resourceVersion && isSame(old, object)) return;
    const kept = transform(object);
    store.put(kept);
    if (old === undefined) tell({ kind: 'added', object: kept, isInitial: !synced });
    else if (isSame(old, kept)) tell({ kind: 'updated', object: kept, old });
    else {
      // Deleted and created again while nobody looked: two objects of one name.
      tell({ kind: 'deleted', object: old });
      tell({ kind: 'added', object: kept, isInitial: false });
    }
  }

  function remove(key: ObjectKey): void {
    const old = store.remove(key);
    if (old !== undefined) tell({ kind: 'deleted', object: old });
  }

  /** True when an own write is newer than this version of the object. */
  function isOutdated(key: string, version: bigint): boolean {
    const own = ahead.get(key);
    if (own === undefined) return false;
    if (version < own) return true;
    ahead.delete(key);
    return false;
  }

  const sink: InformerSink<T> = {
    listStarted() {
      listedKeys = new Set();
    },
    listed(object) {
      const key = textOfKey(keyOf(object));
      listedKeys.add(key);
      if (!isOutdated(key, versionOf(object))) put(object);
    },
    listEnded(listVersion) {
      const version = BigInt(listVersion);
      for (const object of store.list()) {
        const key = textOfKey(keyOf(object));
        if (!listedKeys.has(key) && !isOutdated(key, version)) remove(keyOf(object));
      }
      listedKeys = new Set();
      // A list may be older than what was known: the server's data has been restored. It counts nevertheless.
      reachedVersion = version;
      synced = true;
    },
    told(type, object) {
      const version = versionOf(object);
      if (version > reachedVersion) reachedVersion = version;
      if (isOutdated(textOfKey(keyOf(object)), version)) return;
      if (type === 'DELETED') remove(keyOf(object));
      else put(object);
    },
    reached(resourceVersion) {
      const version = BigInt(resourceVersion);
      if (version > reachedVersion) reachedVersion = version;
      for (const [key, own] of ahead) if (own <= reachedVersion) ahead.delete(key);
    },
  };

  const informer: Informer<T> = {
    resource,
    get: store.get,
    list: store.list,
    byIndex: store.byIndex,
    addIndex: store.addIndex,
    size: store.size,
    hasSynced: () => synced,
    subscribe(handler) {
      handlers.add(handler);
      for (const object of store.list()) tell({ kind: 'added', object, isInitial: true }, [handler]);
      return () => void handlers.delete(handler);
    },
    observe(object) {
      const version = versionOf(object);
      const key = textOfKey(keyOf(object));
      if (version <= reachedVersion || isOutdated(key, version)) return;
      const known = store.get(keyOf(object));
      if (known !== undefined && version <= versionOf(known)) return;
      ahead.set(key, version);
      put(object);
    },
  };
  return { informer, sink };
}

function isSame(a: { readonly metadata: { readonly uid: string } }, b: typeof a): boolean {
  return a.metadata.uid === b.metadata.uid;
}

/** Versions are decimal numbers that grow, by Kubernetes' contract since 1.35 and by practice before. */
function versionOf(object: { readonly metadata: { readonly resourceVersion: string } }): bigint {
  return BigInt(object.metadata.resourceVersion);
}
