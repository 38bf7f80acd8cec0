import { setTimeout as sleep } from 'node:timers/promises';

/** Half to all of `ms`, so that callers who failed together do not come back together. */
export function jittered(ms: number, random: () => number): number {
  return ms * (0.5 + random() / 2);
}

/** 1, 2, 4 … up to `capMs`, for attempt 0, 1, 2 … */
export function doubling(attempt: number, firstMs: number, capMs: number): number {
  return Math.min(capMs, firstMs * 2 ** Math.min(attempt, 20));
}

/** Waits; rejects with the signal's reason on abort. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
