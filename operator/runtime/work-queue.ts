import { textOfKey } from '../../lib/kubernetes/object.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { type BackoffConfig, backoffMs } from './backoff.ts';
import { createDelays } from './delays.ts';
import type { Request } from './request.ts';
import type { Schedule } from './timers.ts';

/** `low` waits for everything that is not: what is there at a start never delays what changes meanwhile. */
export type Priority = 'high' | 'low';

/** What a work queue tells, by the names that client-go gave it. */
export interface WorkQueueMetrics {
  added(): void;
  /** Added with a delay. */
  retried(): void;
  /** Handed out after so long in the queue. */
  handedOut(waitedMs: number): void;
  done(workedMs: number): void;
}

export interface WorkQueueDeps {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly metrics: WorkQueueMetrics;
}

/**
 * Requests that wait for a worker, each at most once however often it is added. A request that is being worked on is
 * handed out again only when that is done. So the queue is never longer than there are objects, which is its bound.
 */
export interface WorkQueue {
  add(request: Request, priority?: Priority): void;
  /** Adds it later; an earlier time that is set already stays. */
  addAfter(request: Request, ms: number): void;
  /** Adds it later, and later still with every failure since the last `forget`; not before `atLeastMs`. */
  addRateLimited(request: Request, atLeastMs?: number): void;
  /** It has succeeded. */
  forget(request: Request): void;
  /** The next one; waits for it. Undefined when the queue was shut down. */
  get(): Promise<Request | undefined>;
  /** Whoever got a request says so when it is done with it. */
  done(request: Request): void;
  /** Nothing is handed out any more, and nothing taken in. */
  shutDown(): void;
  /** How many wait for a worker. */
  depth(): Readonly<Record<Priority, number>>;
  /** Milliseconds for which each of those handed out is being worked on. */
  working(): readonly number[];
}

interface Item {
  readonly request: Request;
  readonly addedAt: number;
}

export function createWorkQueue(deps: WorkQueueDeps, config: { readonly backoff: BackoffConfig }): WorkQueue {
  const { clock, schedule, metrics } = deps;
  // Maps remember the order in which keys came.
  const ready: Readonly<Record<Priority, Map<string, Item>>> = { high: new Map(), low: new Map() };
  const delayed = new Map<string, Request>();
  const delays = createDelays();
  const working = new Map<string, number>();
  /** Added while being worked on. */
  const again = new Map<string, { readonly request: Request; readonly priority: Priority }>();
  const failures = new Map<string, number>();
  const waiting: ((request: Request | undefined) => void)[] = [];
  let cancelTimer = () => {};
  let timerAt = Number.POSITIVE_INFINITY;
  let isShutDown = false;

  function add(request: Request, priority: Priority = 'high'): void {
    if (isShutDown) return;
    const key = textOfKey(request);
    delays.delete(key);
    delayed.delete(key);
    if (working.has(key)) {
      if (again.get(key)?.priority !== 'high') again.set(key, { request, priority });
      metrics.added();
      return;
    }
    if (ready.high.has(key) || (priority === 'low' && ready.low.has(key))) return;
    const item = ready.low.get(key) ?? { request, addedAt: clock.monotonic() };
    ready.low.delete(key);
    ready[priority].set(key, item);
    metrics.added();
    handOut();
  }

  function handOut(): void {
    while (waiting.length > 0) {
      const [entry] = ready.high.size > 0 ? ready.high : ready.low;
      if (entry === undefined) return;
      const [key, { request, addedAt }] = entry;
      ready.high.delete(key);
      ready.low.delete(key);
      const now = clock.monotonic();
      working.set(key, now);
      metrics.handedOut(now - addedAt);
      waiting.shift()?.(request);
    }
  }

  function addAfter(request: Request, ms: number): void {
    if (isShutDown) return;
    if (ms <= 0) {
      add(request);
      return;
    }
    const key = textOfKey(request);
    metrics.retried();
    // It will be handed out before that.
    if (ready.high.has(key) || ready.low.has(key) || again.has(key)) return;
    delayed.set(key, request);
    delays.set(key, clock.monotonic() + ms);
    setTimer();
  }

  function setTimer(): void {
    const next = delays.next();
    if (next === undefined || next >= timerAt) return;
    cancelTimer();
    timerAt = next;
    cancelTimer = schedule(Math.max(0, Math.ceil(next - clock.monotonic())), ring);
  }

  function ring(): void {
    timerAt = Number.POSITIVE_INFINITY;
    for (;;) {
      const key = delays.takeDue(clock.monotonic());
      if (key === undefined) break;
      const request = delayed.get(key);
      if (request !== undefined) add(request);
    }
    setTimer();
  }

  return {
    add,
    addAfter,
    addRateLimited(request, atLeastMs = 0) {
      const key = textOfKey(request);
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      addAfter(request, Math.max(atLeastMs, backoffMs(count, config.backoff)));
    },
    forget: request => void failures.delete(textOfKey(request)),
    get() {
      if (isShutDown) return Promise.resolve(undefined);
      return new Promise(resolve => {
        waiting.push(resolve);
        handOut();
      });
    },
    done(request) {
      const key = textOfKey(request);
      const since = working.get(key);
      if (since === undefined) return;
      working.delete(key);
      metrics.done(clock.monotonic() - since);
      const next = again.get(key);
      again.delete(key);
      if (next === undefined || isShutDown) return;
      ready[next.priority].set(key, { request: next.request, addedAt: clock.monotonic() });
      handOut();
    },
    shutDown() {
      isShutDown = true;
      cancelTimer();
      for (const resolve of waiting.splice(0)) resolve(undefined);
    },
    depth: () => ({ high: ready.high.size, low: ready.low.size }),
    working: () => [...working.values()].map(since => clock.monotonic() - since),
  };
}
