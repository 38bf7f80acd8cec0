import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isExpired } from '../../lib/kubernetes/api-error.ts';
import type { Kubernetes, Selection } from '../../lib/kubernetes/kubernetes.ts';
import type { KubernetesObject } from '../../lib/kubernetes/object.ts';
import type { Resource } from '../../lib/kubernetes/resource.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { startTask, type Task } from '../../lib/lifecycle/task.ts';
import { type BackoffConfig, backoffMs } from './backoff.ts';
import type { InformerSink } from './informer.ts';

export interface ReflectorDeps {
  readonly kubernetes: Pick<Kubernetes, 'list' | 'watch'>;
  readonly clock: Clock;
  /** Returns [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: ReflectorMetrics;
}

export interface ReflectorMetrics {
  listed(resource: string): void;
  watched(resource: string): void;
  brokeOff(resource: string): void;
}

export interface ReflectorConfig<T extends KubernetesObject> {
  readonly resource: Resource<T>;
  readonly selection: Selection;
  /** Objects a page of a list. */
  readonly pageSize: number;
  /** Between attempts while they fail; the wait is spread over half to all of it. */
  readonly backoff: BackoffConfig;
}

export const REFLECTOR_DEFAULTS = { pageSize: 500, backoff: { baseMs: 200, maxMs: 30_000 } };

/** So many attempts in a row may fail before it is worth a warning: a restart of the API server passes in fewer. */
const QUIET_FAILURES = 3;
/** A watch that lasted so long was a good one, even if nothing happened. */
const GOOD_WATCH_MS = 10_000;
/** The server ends a watch in order after this long, and as much again by chance: watches spread over API servers. */
const WATCH_S = 300;

/**
 * Feeds an informer: lists, then watches from the version of the list on, and watches again from the last version seen
 * whenever a watch ends or breaks. Lists again only when the server no longer keeps that version (HTTP 410). Goes on
 * until it is stopped.
 */
export function startReflector<T extends KubernetesObject>(
  deps: ReflectorDeps,
  config: ReflectorConfig<T>,
  sink: InformerSink<T>,
): Task {
  const { kubernetes, clock, random } = deps;
  const { resource, selection } = config;
  const logger = deps.logger.child({ resource: resource.plural });
  let version: string | undefined;
  let failures = 0;

  function succeeded(): void {
    if (failures > QUIET_FAILURES) logger.info('the watch is back');
    failures = 0;
  }

  async function list(signal: AbortSignal): Promise<string> {
    deps.metrics.listed(resource.plural);
    sink.listStarted();
    let from: string | undefined;
    for (;;) {
      const page = await kubernetes.list(resource, {
        ...selection,
        limit: config.pageSize,
        signal,
        ...(from === undefined ? {} : { continue: from }),
      });
      for (const object of page.items) sink.listed(object);
      from = page.continue;
      if (from !== undefined) continue;
      sink.listEnded(page.resourceVersion);
      return page.resourceVersion;
    }
  }

  async function watch(from: string, signal: AbortSignal): Promise<void> {
    const started = clock.monotonic();
    const timeoutS = Math.round(WATCH_S * (1 + random()));
    deps.metrics.watched(resource.plural);
    for await (const event of kubernetes.watch(resource, { ...selection, resourceVersion: from, timeoutS, signal })) {
      succeeded();
      if (event.type === 'BOOKMARK') {
        sink.reached(event.resourceVersion);
        version = event.resourceVersion;
      } else {
        sink.told(event.type, event.object);
        version = event.object.metadata.resourceVersion;
      }
    }
    // A server that ends every watch at once must not be asked again at once.
    if (clock.monotonic() - started < GOOD_WATCH_MS) failures += 1;
    else succeeded();
  }

  async function round(signal: AbortSignal): Promise<void> {
    await sleep(backoffMs(failures, config.backoff) * (0.5 + random() / 2), undefined, { signal });
    const started = clock.monotonic();
    try {
      version ??= await list(signal);
      await watch(version, signal);
    } catch (error) {
      if (signal.aborted) return;
      deps.metrics.brokeOff(resource.plural);
      if (isExpired(error)) version = undefined;
      failures = clock.monotonic() - started < GOOD_WATCH_MS ? failures + 1 : 1;
      const facts = { err: error, failures };
      if (failures === QUIET_FAILURES + 1) logger.warn(facts, 'the cache is not kept current');
      else logger.debug(facts, 'the watch broke off');
    }
  }

  return startTask(`informer ${resource.plural}`, 0, round, { logger });
}
