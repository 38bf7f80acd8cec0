import type { Intent, KubernetesObject, ObjectKey, Stored } from './object.ts';
import type { Resource } from './resource.ts';
import type { ApiRequest, OpenAnswer } from './transport.ts';
import type { WatchEvent } from './watch.ts';

/** For every call: what ends it early. Without `timeoutMs` the transport's `requestMs` holds, repeats included. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** For calls that change something. */
export interface WriteOptions extends CallOptions {
  /** Who owns the fields that are written. */
  readonly fieldManager?: string;
  /** True: everything is checked, nothing is stored. */
  readonly dryRun?: boolean;
  readonly subresource?: 'status' | 'scale';
}

export interface Selection {
  /** Without: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ListOptions extends Selection, CallOptions {
  /** At most so many objects; the answer then says how to go on. */
  readonly limit?: number;
  /** From the page before. After some minutes it is refused as expired. */
  readonly continue?: string;
  /** `0`: whatever the server has at hand. Without: as new as it gets. */
  readonly resourceVersion?: string;
}

/** One page. */
export interface ListResult<T extends KubernetesObject> {
  readonly items: readonly Stored<T>[];
  /** A watch from here misses nothing. */
  readonly resourceVersion: string;
  /** There when there is more. */
  readonly continue?: string;
}

export interface WatchOptions extends Selection {
  /** Tells what changed after this version. */
  readonly resourceVersion: string;
  /** After so long the server ends the watch in order; when it does not, the watch breaks. Default: 600. */
  readonly timeoutS?: number;
  readonly signal?: AbortSignal;
}

export interface DeleteOptions extends CallOptions {
  /** The object is deleted only if it is still this one (a refused precondition is an `ApiConflict`). */
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** Default: the kind's own, mostly Background. */
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly gracePeriodSeconds?: number;
  readonly dryRun?: boolean;
}

/** What became of a wish to evict a pod. */
export type EvictResult =
  | { readonly kind: 'evicted' }
  | { readonly kind: 'absent' }
  | {
      /** A PodDisruptionBudget does not allow it now. */
      readonly kind: 'blocked';
      readonly message: string;
      readonly retryAfterS?: number;
    };

/** A change of single fields: RFC 7386 (`merge`) or RFC 6902 (`json`). */
export type Patch =
  | { readonly type: 'merge'; readonly body: unknown }
  | { readonly type: 'json'; readonly body: readonly unknown[] };

/**
 * The Kubernetes API, typed by `Resource` descriptors. Every call but `watch` and `open` ends within its deadline, is
 * repeated as the server wishes when it answers with 429 or with Retry-After, and throws ApiError when it is refused or
 * not answered; absence is a value. On abort the signal's reason is thrown.
 */
export interface Kubernetes {
  /** The namespace that the credentials name; `default` without. */
  readonly namespace: string;
  /** Undefined when there is none. */
  get<T extends KubernetesObject>(
    resource: Resource<T>,
    key: ObjectKey,
    options?: CallOptions,
  ): Promise<Stored<T> | undefined>;
  /** One page; without `limit` all of it. */
  list<T extends KubernetesObject>(resource: Resource<T>, options?: ListOptions): Promise<ListResult<T>>;
  /** Events with bookmarks, until the server ends the watch in order. Throws ApiError when it breaks; see `isExpired`. */
  watch<T extends KubernetesObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>>;
  /** Creates an object that does not exist. Throws `ApiAlreadyExists`. Never repeated after a broken connection. */
  create<T extends KubernetesObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<Stored<T>>;
  /** Replaces an object; with `metadata.resourceVersion` only that version of it: otherwise `ApiConflict`. */
  replace<T extends KubernetesObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<Stored<T>>;
  patch<T extends KubernetesObject>(
    resource: Resource<T>,
    key: ObjectKey,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<Stored<T>>;
  /**
   * Server-side apply: the fields of `intent` become `fieldManager`'s, and what it owned and no longer names is removed.
   * Creates the object if there is none. With `force` it takes fields from other managers, without it throws
   * `ApiConflict` that names them. With `metadata.resourceVersion` it applies to that version alone, and never creates.
   */
  apply<T extends KubernetesObject>(
    resource: Resource<T>,
    intent: Intent<T>,
    options: WriteOptions & { readonly fieldManager: string; readonly force?: boolean },
  ): Promise<Stored<T>>;
  /** False when there was none. True does not mean that it is gone: finalizers may hold it. */
  delete(resource: Resource, key: ObjectKey, options?: DeleteOptions): Promise<boolean>;
  /** Asks for a pod to be evicted, so that its disruption budget is respected. */
  evict(
    pod: ObjectKey,
    options?: Pick<DeleteOptions, 'uid' | 'gracePeriodSeconds' | 'dryRun' | 'signal' | 'timeoutMs'>,
  ): Promise<EvictResult>;
  /** Any request, its answer parsed: for what has no resource, such as `/version`. */
  json(request: ApiRequest): Promise<unknown>;
  /** Any request, its answer open and of whatever status: logs, and programs behind `serviceProxyPath`. */
  open(request: ApiRequest): Promise<OpenAnswer>;
  /** The same client on the same connections, but `check` runs before every request that writes, and may throw. */
  guarded(check: () => void): Kubernetes;
  /** Ends all connections. */
  close(): Promise<void>;
}
