import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { ApiError, isPassing } from '../../lib/kubernetes/api-error.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';
import { apiVersionOf, type Resource } from '../../lib/kubernetes/resource.ts';
import { type Event, events } from '../../lib/kubernetes/resources.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { startTask, type Task } from '../../lib/lifecycle/task.ts';
import { createEventBudget } from './event-budget.ts';
import type { RuntimeMetrics } from './metrics.ts';

/** What is told about an object, to people who describe it. */
export interface Told<Reason extends string> {
  readonly type: 'Normal' | 'Warning';
  /** From the closed list. */
  readonly reason: Reason;
  /** What was being done, in CamelCase. */
  readonly action: string;
  /** A sentence; at most 1,024 characters are kept. */
  readonly note: string;
}

/** Writes events about objects. Best effort: an event never delays or fails what it tells of. */
export interface EventRecorder<Reason extends string> {
  /** Takes it and returns. The same again within minutes is counted, not written anew. */
  record<T extends KubernetesObject>(resource: Resource<T>, object: Stored<T>, told: Told<Reason>): void;
  start(): void;
  /** Writes what is left, for `drainMs` at most. */
  stop(drainMs: number): Promise<void>;
}

export interface EventRecorderDeps {
  readonly kubernetes: Pick<Kubernetes, 'create' | 'patch'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<RuntimeMetrics, 'eventLost'>;
}

export interface EventRecorderConfig {
  /** `reportingController`: a qualified name such as `example.org/operator`. */
  readonly controller: string;
  /** `reportingInstance`: the pod. */
  readonly instance: string;
}

const FLUSH_MS = 5_000;
/** The same again after so long is a new event. client-go's number. */
const SERIES_MS = 360_000;
/** A count is written at most so often. */
const REFRESH_MS = 60_000;
const MAX_WAITING = 1_000;
const MAX_SERIES = 1_000;
const MAX_NOTE = 1_024;
const WRITE_MS = 10_000;

interface Series {
  event: Event;
  count: number;
  /** Wall clock. */
  observedAt: number;
  /** Monotonic. */
  touchedAt: number;
  writtenAt: number | undefined;
  writtenCount: number;
}

export function createEventRecorder<Reason extends string>(
  deps: EventRecorderDeps,
  config: EventRecorderConfig,
): EventRecorder<Reason> {
  const { clock, metrics } = deps;
  const logger = deps.logger.child({ task: 'events' });
  const budget = createEventBudget(clock);
  /** By what makes two events the same; the one that was touched the longest ago first. */
  const series = new Map<string, Series>();
  let waiting = 0;
  let task: Task | undefined;

  function record<T extends KubernetesObject>(resource: Resource<T>, object: Stored<T>, told: Told<Reason>): void {
    const { uid } = object.metadata;
    const note = told.note.slice(0, MAX_NOTE);
    const key = JSON.stringify([uid, told.type, told.reason, told.action, note]);
    const known = series.get(key);
    series.delete(key);
    const isSeries = known?.writtenAt === undefined || clock.monotonic() - known.touchedAt < SERIES_MS;
    if (known !== undefined && isSeries) {
      series.set(key, { ...known, count: known.count + 1, observedAt: clock.now(), touchedAt: clock.monotonic() });
      return;
    }
    if (waiting >= MAX_WAITING || !budget.spend(uid)) {
      metrics.eventLost(waiting >= MAX_WAITING ? 'full' : 'spam');
      return;
    }
    const event = eventOf(resource, object, { ...told, note }, config, clock.now());
    series.set(key, {
      event,
      count: 1,
      observedAt: clock.now(),
      touchedAt: clock.monotonic(),
      writtenAt: undefined,
      writtenCount: 0,
    });
    waiting += 1;
    void task?.runNow();
  }

  async function flush(signal: AbortSignal): Promise<void> {
    for (const [key, found] of series) {
      if (signal.aborted) return;
      if (isDue(found) && !(await write(key, found, signal))) return;
    }
    forgetOld();
  }

  function isDue({ writtenAt, writtenCount, count }: Series): boolean {
    if (writtenAt === undefined) return true;
    return count > writtenCount && clock.monotonic() - writtenAt >= REFRESH_MS;
  }

  /** False when it makes no sense to go on now. */
  async function write(key: string, found: Series, signal: AbortSignal): Promise<boolean> {
    const { event, count, observedAt, writtenAt } = found;
    const seriesOf = { count, lastObservedTime: microTime(observedAt) };
    const options = { signal, timeoutMs: WRITE_MS };
    const { namespace = '', name = '' } = event.metadata ?? {};
    const isNew = writtenAt === undefined;
    try {
      if (isNew) await deps.kubernetes.create(events, count === 1 ? event : { ...event, series: seriesOf }, options);
      else
        await deps.kubernetes.patch(
          events,
          { namespace, name },
          { type: 'merge', body: { series: seriesOf } },
          options,
        );
    } catch (error) {
      if (signal.aborted || isPassing(error)) return false;
      drop(key, isNew, error);
      return true;
    }
    if (isNew) waiting -= 1;
    const current = series.get(key);
    if (current !== undefined) {
      // In place: what is touched moves to the end, what is written does not.
      current.writtenAt = clock.monotonic();
      current.writtenCount = count;
    }
    return true;
  }

  function drop(key: string, isNew: boolean, error: unknown): void {
    series.delete(key);
    if (isNew) waiting -= 1;
    // Events live for an hour: the count of one that is gone interests nobody.
    if (error instanceof ApiError && error.status === 404 && !isNew) return;
    metrics.eventLost('refused');
    logger.warn({ err: error }, 'an event was refused');
  }

  function forgetOld(): void {
    for (const [key, { touchedAt, writtenAt, writtenCount, count }] of series) {
      const isOver = clock.monotonic() - touchedAt >= SERIES_MS;
      if (!isOver && series.size <= MAX_SERIES) return;
      if (writtenAt !== undefined && (!isOver || writtenCount === count)) series.delete(key);
    }
  }

  return {
    record,
    start() {
      task ??= startTask('events', FLUSH_MS, flush, { logger });
    },
    async stop(drainMs) {
      const running = task;
      task = undefined;
      if (running === undefined) return;
      const given = new AbortController();
      const timer = setTimeout(() => given.abort(), drainMs);
      const flushed = running.runNow().then(() => running.runNow());
      await Promise.race([flushed, new Promise(resolve => given.signal.addEventListener('abort', resolve))]);
      clearTimeout(timer);
      await running.stop();
    },
  };
}

function eventOf<T extends KubernetesObject>(
  resource: Resource<T>,
  { metadata }: Stored<T>,
  told: Told<string>,
  config: EventRecorderConfig,
  now: number,
): Event {
  const { name, namespace, uid, resourceVersion } = metadata;
  const where = namespace === undefined ? {} : { namespace };
  return {
    metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace: namespace ?? 'default' },
    eventTime: microTime(now),
    reportingController: config.controller,
    reportingInstance: config.instance,
    ...told,
    regarding: { apiVersion: apiVersionOf(resource), kind: resource.kind, name, uid, resourceVersion, ...where },
  };
}

/** `metav1.MicroTime`. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
