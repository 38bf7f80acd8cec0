import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { KubernetesObject, Stored } from '../../lib/kubernetes/object.ts';
import type { ConfigMap } from '../../lib/kubernetes/resources.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createRuntimeMetrics } from './metrics.ts';
import type { Schedule } from './timers.ts';

/** Time that a test moves. */
export interface ManualTime {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** Runs what is due on the way, in order. */
  pass(ms: number): void;
}

export function createManualTime(): ManualTime {
  let now = 1_000_000;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    clock: { now: () => Date.UTC(2026, 0, 1) + now, monotonic: () => now },
    schedule: (ms, run) => {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    pass(ms) {
      const end = now + ms;
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.run();
      }
      now = end;
    },
  };
}

export const silent = pino({ level: 'silent' });

/** Metrics in a registry of their own. */
export function testMetrics() {
  const registry = new Registry();
  return { registry, metrics: createRuntimeMetrics(registry) };
}

/** A stored object, as the server would give it. */
export function aStored<T extends KubernetesObject = ConfigMap>(
  name: string,
  version: number,
  more: Omit<T, 'metadata'> & { readonly metadata?: Partial<Stored<T>['metadata']> } = {} as never,
): Stored<T> {
  const metadata = {
    name,
    namespace: 'default',
    uid: `uid-${name}`,
    resourceVersion: String(version),
    creationTimestamp: '2026-01-01T00:00:00Z',
    ...more.metadata,
  };
  return { ...more, metadata } as unknown as Stored<T>;
}
