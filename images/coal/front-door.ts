import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { type AccountAdmin, createAccountAdmin } from '../../lib/auth/account-admin.ts';
import { accountsSchema, createAccounts } from '../../lib/auth/accounts.ts';
import { createPool, poolDefaults } from '../../lib/database/pool.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createMetadata } from '../../lib/metadata/metadata.ts';
import { createStorageNodes } from '../../lib/metadata/storage-nodes.ts';
import { createAuthenticator } from '../webapi/auth/authenticator.ts';
import { webapiConfigSchema } from '../webapi/config.ts';
import { createTransfers } from '../webapi/transfer/transfers.ts';
import { createWebapi, type Webapi } from '../webapi/webapi.ts';
import type { CoalConfig } from './config.ts';
import type { RegionDatabases } from './databases.ts';
import type { Parts } from './parts.ts';
import type { RegionTokens } from './region-tokens.ts';

/**
 * Milliseconds that a call may wait for a database. One machine runs clients, API, storage and database, and its disk
 * serves them all: half a second of waiting, which tells a region of many machines that a shard is overloaded, is
 * nothing unusual here.
 */
const MAX_WAIT_MS = 5_000;

/** webapi and what it stands on. */
export interface FrontDoor {
  readonly webapi: Webapi;
  readonly accountAdmin: AccountAdmin;
  /** Resolves when identities and all shards answer and the storage nodes' reports are known. Throws `NotReady`. */
  ready(signal: AbortSignal): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const MIB = 1_048_576;

/** Composes webapi; `parts` gets what must be closed after it. */
export function createFrontDoor(
  deps: { logger: Logger; clock: Clock; registry: Registry; tokens: RegionTokens; databases: RegionDatabases },
  config: CoalConfig & { readonly region: string; readonly internalPort: number },
  parts: Parts,
): FrontDoor {
  const { clock, databases, registry, tokens } = deps;
  const logger = deps.logger.child({ program: 'webapi' });
  const webapiConfig = configureWebapi(config);
  const keep = <T extends { close(): Promise<void> }>(name: string, part: T): T => {
    parts.add(name, () => part.close());
    return part;
  };
  const control = keep(
    'control pool',
    createPool({ logger, clock }, databases.control, { ...poolDefaults, name: 'control', maxWaitMs: MAX_WAIT_MS }),
  );
  const metadata = keep(
    'namespace',
    createMetadata({ logger, clock, registry }, { ...databases, maxWaitMs: MAX_WAIT_MS }),
  );
  const accounts = keep(
    'accounts',
    createAccounts(
      {
        pool: control,
        target: databases.control,
        clock,
        random: Math.random,
        logger,
        metrics: registry,
        program: 'webapi',
      },
      accountsSchema.parse({}),
    ),
  );
  const signer = tokens.signerFor('webapi/coal');
  const storageNodes = createStorageNodes({ control });
  const transfers = keep(
    'transfers',
    createTransfers({ storageNodes, signer, clock, random: Math.random, logger, registry }, webapiConfig.transfer),
  );
  const accountAdmin = createAccountAdmin({ pool: control });
  const authenticator = createAuthenticator({ accounts, clock });
  const verifier = tokens.verifierFor('webapi');
  const tier = { metadata, storageNodes, accounts, accountAdmin, authenticator, transfers, signer, verifier };
  const webapi = createWebapi({ ...tier, logger, registry, clock }, webapiConfig);
  return {
    webapi,
    accountAdmin,
    async ready(signal) {
      const until = clock.monotonic() + READY_WITHIN_MS;
      await transfers.refresh();
      // A full disk is no reason not to start: it can be read and emptied.
      if (!transfers.canWrite()) logger.warn('no storage node takes new objects');
      while (!metadata.isAvailable() || !accounts.isAvailable()) {
        if (clock.monotonic() > until) {
          throw new MantaError('NotReady', 'the databases did not get ready; the log says why');
        }
        await sleep(10, undefined, { signal });
      }
    },
  };
}

/** All nodes share one disk, so what counts as full is set wide. metadata.md §17. */
function configureWebapi(config: CoalConfig & { readonly region: string; readonly internalPort: number }) {
  return webapiConfigSchema.parse({
    region: config.region,
    serverName: 'coal',
    listen: { host: '127.0.0.1', port: config.port },
    control: { host: '127.0.0.1', port: config.internalPort },
    insecureHttp: true,
    timers: { drain: config.drainMs },
    transfer: {
      maxUtilizationPct: 99,
      maxOperatorUtilizationPct: 100,
      // File systems that make inodes as they need them report none as free.
      minInodesFree: 0,
      reserveBytes: 256 * MIB,
      multiDc: false,
    },
  });
}
