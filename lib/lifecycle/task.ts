import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/** A named background loop: the only way a program runs something on its own. */
export interface Task {
  readonly name: string;
  /** What a person asking "is it alive?" wants to know. */
  status(): { runs: number; failures: number; running: boolean; lastError?: string };
  /** Runs the body at once instead of waiting out the interval. Resolves when that run has ended; never rejects. */
  runNow(): Promise<void>;
  /** Aborts the current run through its signal, waits for it to return, and ends the loop. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Runs `body` every `intervalMs`, measured from the end of one run to the start of the next, so that a slow run never
 * overlaps the next one. A run that throws is logged once, counted, and does not end the loop.
 */
export function startTask(
  name: string,
  intervalMs: number,
  body: (signal: AbortSignal) => Promise<void>,
  deps: { logger: Logger },
): Task {
  const stopping = new AbortController();
  let runs = 0;
  let failures = 0;
  let lastError: string | undefined;
  let current: Promise<void> | undefined;

  function run(): Promise<void> {
    current ??= once().finally(() => {
      current = undefined;
    });
    return current;
  }

  async function once(): Promise<void> {
    if (stopping.signal.aborted) return;
    runs += 1;
    try {
      await body(stopping.signal);
      lastError = undefined;
    } catch (error) {
      if (stopping.signal.aborted) return;
      failures += 1;
      lastError = error instanceof Error ? error.message : String(error);
      deps.logger.warn({ task: name, err: error }, 'task run failed');
    }
  }

  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await run();
      await sleep(intervalMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    }
  })();

  return {
    name,
    status: () => ({
      runs,
      failures,
      running: current !== undefined,
      ...(lastError === undefined ? {} : { lastError }),
    }),
    runNow: run,
    stop: async () => {
      stopping.abort();
      await loop;
      await current;
    },
  };
}
