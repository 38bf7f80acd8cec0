import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isExpired } from '../../lib/kubernetes/api-error.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import { type EndpointSlice, endpointSlices } from '../../lib/kubernetes/resources.ts';
import { backendsOf } from './backends.ts';
import type { Backend } from './config.ts';

export interface FollowedService {
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
}

export interface ServiceFollower {
  /** The newest list that is known; undefined until there has been one. It stays while the API server is away. */
  backends(): readonly Backend[] | undefined;
  stop(): Promise<void>;
}

const RETRY_MS = { first: 200, most: 5_000 };

/** Follows the EndpointSlices of a Service. `changed` is called after each change of the list, and after the first one. */
export function followService(
  deps: { readonly kubernetes: Pick<Kubernetes, 'list' | 'watch'>; readonly logger: Logger },
  { namespace, service, portName }: FollowedService,
  changed: () => void,
): ServiceFollower {
  const { kubernetes, logger } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const selection = { namespace, labelSelector: `kubernetes.io/service-name=${service}` };
  const slices = new Map<string, Stored<EndpointSlice>>();
  let backends: readonly Backend[] | undefined;
  let retryMs = RETRY_MS.first;

  function publish(): void {
    const next = backendsOf(slices.values(), portName);
    if (JSON.stringify(next) === JSON.stringify(backends)) return;
    logger.info({ backends: next.map(({ address, port }) => `${address} ${port}`) }, 'backends changed');
    backends = next;
    changed();
  }

  async function list(): Promise<string> {
    const { items, resourceVersion } = await kubernetes.list(endpointSlices, { ...selection, signal });
    slices.clear();
    for (const slice of items) slices.set(slice.metadata.name, slice);
    publish();
    return resourceVersion;
  }

  /** Resolves with where to go on when the server ends the watch in order. */
  async function watch(from: string): Promise<string> {
    let at = from;
    for await (const event of kubernetes.watch(endpointSlices, { ...selection, resourceVersion: at, signal })) {
      retryMs = RETRY_MS.first;
      if (event.type === 'BOOKMARK') {
        at = event.resourceVersion;
        continue;
      }
      const { name, resourceVersion } = event.object.metadata;
      at = resourceVersion;
      if (event.type === 'DELETED') slices.delete(name);
      else slices.set(name, event.object);
      publish();
    }
    return at;
  }

  async function follow(): Promise<void> {
    let at: string | undefined;
    while (!signal.aborted) {
      try {
        at = await watch(at ?? (await list()));
      } catch (error) {
        if (signal.aborted) return;
        at = undefined;
        if (isExpired(error)) continue;
        logger.warn({ err: error, retryMs }, 'webapi cannot be followed');
        await sleep(retryMs, undefined, { signal }).catch(() => {});
        retryMs = Math.min(2 * retryMs, RETRY_MS.most);
      }
    }
  }

  const following = follow();
  return {
    backends: () => backends,
    async stop() {
      stopping.abort();
      await following;
    },
  };
}
