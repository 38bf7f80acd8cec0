import type { Logger } from 'pino';
import { Agent } from 'undici';
import { startTask } from '../../lib/lifecycle/task.ts';
import type { Backend } from './config.ts';

/** Milliseconds that a webapi has to answer a ping. */
const ANSWER_WITHIN_MS = 2_000;

export interface HealthChecks {
  /** As of the last round; a backend that has not had its first check counts as unhealthy. */
  counts(): { readonly healthy: number; readonly unhealthy: number };
  stop(): Promise<void>;
}

/**
 * Asks each webapi for `/ping` again and again, for the metrics. nginx does not depend on it: it passes over those that
 * refuse, and a check that is slow under load must not take away more of what is loaded.
 */
export function startHealthChecks(
  deps: { readonly logger: Logger; readonly backends: () => readonly Backend[] },
  intervalMs: number,
): HealthChecks {
  const { logger, backends } = deps;
  const agent = new Agent({ connectTimeout: ANSWER_WITHIN_MS, pipelining: 0 });
  let healthy: ReadonlySet<string> = new Set();

  async function answers(backend: Backend, signal: AbortSignal): Promise<boolean> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
    try {
      const { statusCode, body } = await agent.request({
        origin: originOf(backend),
        path: '/ping',
        method: 'GET',
        signal: deadline,
      });
      await body.dump();
      return statusCode === 200;
    } catch {
      return false;
    }
  }

  const task = startTask(
    'health checks',
    intervalMs,
    async signal => {
      const checked = await Promise.all(
        backends().map(async backend => ({ origin: originOf(backend), isHealthy: await answers(backend, signal) })),
      );
      if (signal.aborted) return;
      const now = new Set(checked.filter(({ isHealthy }) => isHealthy).map(({ origin }) => origin));
      for (const { origin, isHealthy } of checked) {
        if (isHealthy !== healthy.has(origin)) logger.info({ origin, isHealthy }, 'health of webapi changed');
      }
      healthy = now;
    },
    { logger },
  );

  return {
    counts() {
      const all = backends();
      const well = all.filter(backend => healthy.has(originOf(backend))).length;
      return { healthy: well, unhealthy: all.length - well };
    },
    async stop() {
      await task.stop();
      await agent.destroy();
    },
  };
}

function originOf({ address, port }: Backend): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}
