import type { Intent, KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { Applier } from './applier.ts';
import type { Informer } from './informer.ts';
import type { Result } from './request.ts';

/** An object with a status that its controller alone writes. */
export type WithStatus = KubernetesObject & { readonly status?: unknown };

/** Writes the status of objects, no more often than is of use. */
export interface StatusWriter {
  /**
   * Brings about that `object` has this status. Sends nothing when it has. When its status was written a moment ago,
   * and this one is not `urgent`, sends nothing either, and returns after how long to reconcile again. Throws ApiError:
   * `ApiConflict` when the object is no longer as it was when the status was made of it.
   */
  write<T extends WithStatus>(
    informer: Informer<T>,
    object: Stored<T>,
    status: NonNullable<T['status']>,
    options?: { readonly urgent?: boolean; readonly signal?: AbortSignal },
  ): Promise<Result>;
}

/** A status is written at most once in `minIntervalMs` per object (operations.md §3.1: 5 s). */
export function createStatusWriter(
  deps: { readonly applier: Applier; readonly clock: Clock },
  config: { readonly minIntervalMs: number },
): StatusWriter {
  const { applier, clock } = deps;
  /** When the status of an object was written last, by uid; the longest ago first. */
  const writtenAt = new Map<string, number>();

  function forgetOld(now: number): void {
    for (const [uid, at] of writtenAt) {
      if (now - at < config.minIntervalMs) return;
      writtenAt.delete(uid);
    }
  }

  return {
    async write(informer, object, status, options = {}) {
      const { signal, urgent = false } = options;
      const { name, namespace, uid, resourceVersion } = object.metadata;
      const metadata = { name, resourceVersion, ...(namespace === undefined ? {} : { namespace }) };
      const intent = { metadata, status } as unknown as Intent<KubernetesObject>;
      const to = informer as unknown as Informer<KubernetesObject>;
      if (!applier.wouldSend(to, intent, { subresource: 'status' })) return {};
      const now = clock.monotonic();
      forgetOld(now);
      const before = writtenAt.get(uid);
      if (before !== undefined && !urgent) return { requeueAfterMs: before + config.minIntervalMs - now };
      await applier.apply(to, intent, { subresource: 'status', ...(signal === undefined ? {} : { signal }) });
      writtenAt.delete(uid);
      writtenAt.set(uid, now);
      return {};
    },
  };
}
