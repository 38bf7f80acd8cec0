import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { AccountAdmin } from '../../lib/auth/account-admin.ts';
import type { Accounts } from '../../lib/auth/types.ts';
import { createControlServer } from '../../lib/control-server/control-server.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { startTask, type Task } from '../../lib/lifecycle/task.ts';
import type { Metadata, StorageNodes } from '../../lib/metadata/types.ts';
import type { TokenSigner, TokenVerifier } from '../../lib/region-token/region-token.ts';
import type { Authenticator } from './auth/types.ts';
import type { WebapiConfig } from './config.ts';
import { createAdminRouter } from './internal/admin.ts';
import { createHeartbeatRouter } from './internal/heartbeat.ts';
import { createRingRouter, type RingAdmin } from './internal/ring.ts';
import { createRequestMetrics } from './metrics.ts';
import { createPipeline } from './pipeline.ts';
import { createResponder } from './respond.ts';
import { createPublicServer } from './server.ts';
import { createSourceAddresses } from './source-address.ts';
import { createThrottle } from './throttle.ts';
import type { Transfers } from './transfer/types.ts';

/** The parts that webapi composes; whoever made them closes them, after webapi. */
export interface WebapiDeps {
  readonly metadata: Metadata;
  readonly storageNodes: StorageNodes;
  readonly accounts: Accounts;
  readonly accountAdmin: AccountAdmin;
  readonly authenticator: Authenticator;
  readonly transfers: Transfers;
  /** Absent where whoever composes the region makes the slot map itself. */
  readonly ring?: RingAdmin;
  /** For tokens that storage nodes are given. */
  readonly signer: TokenSigner;
  /** For tokens whose audience is `webapi`. */
  readonly verifier: TokenVerifier;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly clock: Clock;
}

/** The public API of a region, and the listener that its own programs and people use. */
export interface Webapi {
  /**
   * Starts the internal listener alone, ahead of `listen`: a region in one process lets its storage nodes report there
   * before the first client can come.
   */
  listenInternally(): Promise<{ readonly internalUrl: string }>;
  /** Starts both listeners and the sweeper. Port 0 takes a free one; the URLs tell which. */
  listen(): Promise<{ readonly url: string; readonly internalUrl: string }>;
  /** Graceful end: http-api.md §15.4. Resolves when no connection is left. Idempotent. */
  close(): Promise<void>;
}

export function createWebapi(deps: WebapiDeps, config: WebapiConfig): Webapi {
  const { logger, clock, registry } = deps;
  let isServing = false;
  let sweeper: Task | undefined;
  let closing: Promise<void> | undefined;

  const sources = createSourceAddresses(config.trustedProxies, config);
  const responder = createResponder({ clock }, config);
  const throttle = createThrottle(config.limits);
  const pipeline = createPipeline({ ...deps, responder, config, sources, throttle, isServing: () => isServing });
  const metrics = createRequestMetrics(registry);
  const server = createPublicServer({ pipeline, responder, metrics, sources, clock, logger }, config);
  const control = createControlServer(
    {
      logger,
      registry,
      isReady: () => isServing && deps.metadata.isAvailable() && deps.accounts.isAvailable(),
      routers: [
        ...(deps.ring === undefined ? [] : [['/internal/v1', createRingRouter({ ...deps, ring: deps.ring })] as const]),
        ['/internal/v1', createHeartbeatRouter(deps)],
        ['/', createAdminRouter({ admin: deps.accountAdmin, tokens: deps.verifier, logger })],
      ],
    },
    { ...config.control, drainMs: config.timers.drain },
  );

  let internal: Promise<{ readonly url: string }> | undefined;
  async function listenInternally() {
    internal ??= control.listen();
    return { internalUrl: (await internal).url };
  }

  async function close(): Promise<void> {
    isServing = false;
    await sleep(config.timers.lameDuck);
    await server.close();
    await sweeper?.stop();
    await control.close();
  }

  return {
    listenInternally,
    async listen() {
      const { internalUrl } = await listenInternally();
      const url = await server.listen().catch(async error => {
        await control.close();
        throw error;
      });
      sweeper = startTask('metadata-sweep', config.timers.sweep, sweep(deps), { logger });
      isServing = true;
      return { url, internalUrl };
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Requests settle what they meet; the sweeper settles what nobody comes by: metadata.md §12.8. */
function sweep({ metadata, logger }: WebapiDeps): (signal: AbortSignal) => Promise<void> {
  return async signal => {
    if (!metadata.isAvailable()) return;
    const settled = await metadata.sweep(signal);
    if (settled > 0) logger.info({ settled }, 'half-done directory operations settled');
  };
}
