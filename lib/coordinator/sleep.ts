import { setTimeout } from 'node:timers/promises';

/** Resolves after `ms` milliseconds, or early when the signal aborts. Never rejects. Injected, so that tests pass time. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

/** Does not keep the process alive. */
export const systemSleep: Sleep = (ms, signal) =>
  setTimeout(ms, undefined, { ref: false, ...(signal === undefined ? {} : { signal }) }).catch(() => {});
