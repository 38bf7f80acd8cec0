import { setTimeout as sleep } from 'node:timers/promises';

/**
 * For tests and harnesses: tries `check` again until it neither throws nor answers false. After `withinMs` it rejects
 * with what `check` threw last.
 */
export async function eventually(check: () => unknown, withinMs = 10_000): Promise<void> {
  const until = performance.now() + withinMs;
  for (;;) {
    try {
      if ((await check()) !== false) return;
      if (performance.now() > until) throw new Error(`it did not come true within ${withinMs} ms`);
    } catch (error) {
      if (performance.now() > until) throw error;
    }
    await sleep(10);
  }
}
