import { ApiError, apiErrorOf } from './api-error.ts';
import type { DeleteOptions, Kubernetes, ListOptions, Selection, WriteOptions } from './kubernetes.ts';
import { type KubernetesObject, keyOf, type ObjectKey, type ObjectMeta, type Stored } from './object.ts';
import { apiVersionOf, collectionPath, objectPath, type Resource } from './resource.ts';
import { pods } from './resources.ts';
import { type ApiRequest, readText, type Transport } from './transport.ts';
import { decodeWatch, type WatchEvent } from './watch.ts';

const WATCH_S = 600;
/** A server that does not end a watch so long after its time does nothing any more. */
const OVERDUE_MS = 30_000;

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

interface Page<T extends KubernetesObject> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly Stored<T>[] | null;
}

/** The client on a transport. */
export function createClient(transport: Transport, defaults: { readonly namespace: string }): Kubernetes {
  function write<T extends KubernetesObject>(
    method: ApiRequest['method'],
    path: string,
    body: unknown,
    options: WriteOptions & { readonly force?: boolean } = {},
    contentType = 'application/json',
  ): Promise<Stored<T>> {
    const { fieldManager, force, dryRun } = options;
    return transport.json({
      method,
      path: withQuery(path, { fieldManager, force, dryRun: dryRun === true ? 'All' : undefined }),
      headers: { 'content-type': contentType },
      body: JSON.stringify(body),
      ...callOf(options),
    }) as Promise<Stored<T>>;
  }

  return {
    namespace: defaults.namespace,

    get: (resource, key, options) =>
      unlessAbsent(() => transport.json({ method: 'GET', path: objectPath(resource, key), ...callOf(options) })),

    async list<T extends KubernetesObject>(resource: Resource<T>, options: ListOptions = {}) {
      const { namespace, limit, continue: from, resourceVersion } = options;
      const query = { ...selectionOf(options), limit, continue: from, resourceVersion };
      const path = withQuery(collectionPath(resource, namespace), query);
      const page = (await transport.json({ method: 'GET', path, ...callOf(options) })) as Page<T>;
      const more = page.metadata.continue;
      return {
        items: page.items ?? [],
        resourceVersion: page.metadata.resourceVersion,
        ...(more === undefined || more === '' ? {} : { continue: more }),
      };
    },

    watch: (resource, options) => watch(transport, resource, options),

    create: (resource, object, options) =>
      write('POST', collectionPath(resource, namespaceOf(resource, object)), typed(resource, object), options),

    replace: (resource, object, options) =>
      write('PUT', objectPath(resource, keyOf(object), options?.subresource), typed(resource, object), options),

    patch: (resource, key, { type, body }, options) =>
      write('PATCH', objectPath(resource, key, options?.subresource), body, options, `application/${type}-patch+json`),

    apply: (resource, intent, options) =>
      write(
        'PATCH',
        objectPath(resource, keyOf(intent), options.subresource),
        typed(resource, intent),
        options,
        'application/apply-patch+yaml',
      ),

    async delete(resource, key, options = {}) {
      const request: ApiRequest = {
        method: 'DELETE',
        path: objectPath(resource, key),
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(deleteOptions(options)),
        ...callOf(options),
      };
      return (await unlessAbsent(async () => (await transport.json(request)) ?? {})) !== undefined;
    },

    evict: (pod, options) => evict(transport, pod, options),
    json: transport.json,
    open: transport.open,
    guarded: check => createClient(guard(transport, check), defaults),
    close: transport.close,
  };
}

function guard(transport: Transport, check: () => void): Transport {
  return {
    ...transport,
    async json(request) {
      if (request.method !== 'GET') check();
      return transport.json(request);
    },
    async open(request) {
      if (request.method !== 'GET') check();
      return transport.open(request);
    },
  };
}

async function* watch<T extends KubernetesObject>(
  transport: Transport,
  resource: Resource<T>,
  options: Parameters<Kubernetes['watch']>[1],
): AsyncGenerator<WatchEvent<T>> {
  const { namespace, resourceVersion, timeoutS = WATCH_S, signal } = options;
  const path = withQuery(collectionPath(resource, namespace), {
    ...selectionOf(options),
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion,
    timeoutSeconds: timeoutS,
  });
  // Bookmarks are promised to nobody: a resource of which nothing is heard may be silent to the end.
  const silenceMs = timeoutS * 1_000 + OVERDUE_MS;
  const { status, headers, body } = await transport.open({ method: 'GET', path, silenceMs, ...callOf({ signal }) });
  try {
    if (status !== 200) {
      const retryAfterS = Number.parseInt(String(headers['retry-after'] ?? ''), 10);
      throw apiErrorOf({
        status,
        text: await readText(body, 1_048_576),
        request: `watch ${resource.plural}`,
        ...(retryAfterS >= 0 ? { retryAfterS } : {}),
      });
    }
    yield* decodeWatch<T>(body);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ApiError) throw error;
    throw new ApiError('Unreachable', `the watch of ${resource.plural} broke off`, { cause: error });
  } finally {
    body.destroy();
  }
}

async function evict(
  transport: Transport,
  pod: ObjectKey,
  options: Parameters<Kubernetes['evict']>[1] = {},
): ReturnType<Kubernetes['evict']> {
  const body = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: pod,
    deleteOptions: deleteOptions(options),
  };
  try {
    await transport.json({
      method: 'POST',
      path: objectPath(pods, pod, 'eviction'),
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      // A budget's refusal is a 429 too, and it is the answer.
      mayRepeat: false,
      ...callOf(options),
    });
    return { kind: 'evicted' };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 404) return { kind: 'absent' };
    if (error.status !== 429 || !error.causes.some(({ reason }) => reason === 'DisruptionBudget')) throw error;
    const { message, retryAfterS } = error;
    return { kind: 'blocked', message, ...(retryAfterS === undefined ? {} : { retryAfterS }) };
  }
}

async function unlessAbsent<T>(call: () => Promise<unknown>): Promise<T | undefined> {
  try {
    return (await call()) as T;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && error.reason === 'NotFound') return undefined;
    throw error;
  }
}

function callOf(options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {}) {
  const { signal, timeoutMs } = options;
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

function selectionOf({ labelSelector, fieldSelector }: Selection): Query {
  return { labelSelector, fieldSelector };
}

function deleteOptions({ uid, resourceVersion, propagationPolicy, gracePeriodSeconds, dryRun }: DeleteOptions): object {
  const preconditions = { uid, resourceVersion };
  return {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    preconditions: uid === undefined && resourceVersion === undefined ? undefined : preconditions,
    propagationPolicy,
    gracePeriodSeconds,
    dryRun: dryRun === true ? ['All'] : undefined,
  };
}

function namespaceOf(resource: Resource, object: KubernetesObject): string | undefined {
  return resource.namespaced ? keyOf(object).namespace : undefined;
}

/**
 * Lists leave out what their items are, and builders may: the resource knows. `managedFields` are the server's to keep;
 * those of a cached object may be in part, and sending a part would take the rest away.
 */
function typed(resource: Resource, object: { readonly metadata?: Partial<ObjectMeta> }): object {
  const { managedFields: _, ...metadata } = object.metadata ?? {};
  return { ...object, metadata, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== false);
  if (given.length === 0) return path;
  return `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
