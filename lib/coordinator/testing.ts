import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../lifecycle/clock.ts';
import type { Sleep } from './sleep.ts';

/** Time that passes only by `pass`. */
export interface FakeTime {
  readonly clock: Clock;
  readonly sleep: Sleep;
  /**
   * Lets `ms` milliseconds pass: wakes sleepers in the order of their moments, and lets everything that follows from one
   * come to rest before the next.
   */
  pass(ms: number): Promise<void>;
  /** Called after each step of time, before sleepers wake. */
  onStep(listener: (nowMs: number) => void): void;
}

/** The wall clock stands still: nothing may depend on it (replication.md §9.4). */
export function createFakeTime(): FakeTime {
  let now = 0;
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  const listeners: ((nowMs: number) => void)[] = [];

  async function step(to: number): Promise<void> {
    now = to;
    for (const listener of listeners) listener(now);
    for (const sleeper of [...sleepers]) if (sleeper.at <= now) sleeper.wake();
    await setImmediate();
  }

  return {
    clock: { now: () => 0, monotonic: () => now },
    sleep: (ms, signal) =>
      new Promise(resolve => {
        const sleeper = {
          at: now + ms,
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        if (signal?.aborted) sleeper.wake();
        else signal?.addEventListener('abort', sleeper.wake);
      }),
    async pass(ms) {
      const until = now + ms;
      await setImmediate();
      for (;;) {
        const next = Math.min(until, ...[...sleepers].map(sleeper => sleeper.at));
        await step(Math.max(now, next));
        if (next >= until) return;
      }
    },
    onStep: listener => void listeners.push(listener),
  };
}
