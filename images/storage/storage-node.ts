import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { startTask, type Task } from '../../lib/lifecycle/task.ts';
import type { TokenVerifier } from '../../lib/region-token/region-token.ts';
import type { StorageConfig } from './config.ts';
import { createHeartbeat } from './heartbeat.ts';
import { createStorageMetrics } from './metrics.ts';
import { createStorageServer } from './server.ts';
import { createSpace } from './space.ts';
import { openVolume } from './volume.ts';

export interface StorageDeps {
  readonly logger: Logger;
  /** One registry for each node. */
  readonly registry: Registry;
  readonly clock: Clock;
  /** Of audience `storage/<storage id>`. */
  readonly verifier: TokenVerifier;
  /** Authenticates heartbeats; replaced by those that replies bring. */
  readonly nodeToken: string;
  readonly version: string;
}

export interface StorageNode {
  /** Opens the volume, listens, and sends the first heartbeat; resolves even when that one fails. */
  listen(): Promise<{ readonly baseUrl: string }>;
  /** Sends the current state at once, instead of at the next interval. */
  heartbeat(): Promise<void>;
  /** True when the volume takes writes. */
  isReady(): boolean;
  /** Stops heartbeats and accepting, lets running requests end for `drainMs`, then cuts them. Idempotent. */
  close(): Promise<void>;
}

/** A storage node: durable object bytes over HTTP, and heartbeats that tell webapi of it. metadata.md §14. */
export function createStorageNode(deps: StorageDeps, config: StorageConfig): StorageNode {
  const metrics = createStorageMetrics(deps.registry);
  let heartbeats: Task | undefined;
  let stop: (() => Promise<void>) | undefined;
  let isReady = () => false;

  return {
    isReady: () => isReady(),
    async listen() {
      const volume = await openVolume(config.dir, config.storageId);
      const space = createSpace({ volume, monotonic: deps.clock.monotonic }, config.floorBytes);
      const server = createStorageServer({ ...deps, volume, space, metrics }, config);
      server.listen(config.port, config.host);
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const baseUrl = config.baseUrl ?? `http://${config.host}:${port}`;
      stop = async () => {
        const closed = once(server, 'close');
        server.close();
        server.closeIdleConnections();
        const cut = setTimeout(() => server.closeAllConnections(), config.drainMs);
        await closed;
        clearTimeout(cut);
      };
      isReady = () => volume.outOfService() === undefined;
      const writesInflight = async () => (await metrics.writesInflight.get()).values[0]?.value ?? 0;
      const beat = createHeartbeat({ ...deps, volume, writesInflight }, { ...config, baseUrl });
      const body = (signal: AbortSignal) => {
        metrics.outOfService.set(isReady() ? 0 : 1);
        return beat(signal);
      };
      heartbeats = startTask('heartbeat', config.heartbeatMs, body, { logger: deps.logger });
      await heartbeats.runNow();
      return { baseUrl };
    },
    heartbeat: async () => heartbeats?.runNow(),
    async close() {
      await heartbeats?.stop();
      await stop?.();
      stop = undefined;
    },
  };
}
