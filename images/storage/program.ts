import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createControlServer } from '../../lib/control-server/control-server.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createTokenVerifier } from '../../lib/region-token/region-token.ts';
import type { ProgramConfig } from './program-config.ts';
import { createStorageNode } from './storage-node.ts';

export interface ProgramDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly nodeToken: string;
  readonly publicKeys: ReadonlyMap<string, KeyObject>;
  readonly version: string;
}

export interface Program {
  /** Starts the node and its control port. */
  listen(): Promise<{ readonly baseUrl: string; readonly controlUrl: string }>;
  /** Ends both: running requests get their time first. */
  close(): Promise<void>;
}

/** A storage node with its control port. */
export function createProgram({ publicKeys, ...deps }: ProgramDeps, config: ProgramConfig): Program {
  const { storage, region } = config;
  const registry = new Registry();
  const audience = `storage/${storage.storageId}`;
  const verifier = createTokenVerifier({ region, audience, publicKeys, clock: deps.clock });
  const node = createStorageNode({ ...deps, registry, verifier }, storage);
  const control = createControlServer(
    { logger: deps.logger, registry, isReady: node.isReady },
    { ...config.control, drainMs: storage.drainMs },
  );
  return {
    async listen() {
      const { baseUrl } = await node.listen();
      return { baseUrl, controlUrl: (await control.listen()).url };
    },
    async close() {
      await node.close();
      await control.close();
    },
  };
}
