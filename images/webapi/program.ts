import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createAccountAdmin } from '../../lib/auth/account-admin.ts';
import { createAccounts } from '../../lib/auth/accounts.ts';
import { type ConnectionTarget, createPool, poolDefaults } from '../../lib/database/pool.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createMetadata } from '../../lib/metadata/metadata.ts';
import { createStorageNodes } from '../../lib/metadata/storage-nodes.ts';
import { createTokenSigner, createTokenVerifier } from '../../lib/region-token/region-token.ts';
import { createAuthenticator } from './auth/authenticator.ts';
import type { ProgramConfig } from './program-config.ts';
import { createTransfers } from './transfer/transfers.ts';
import { createWebapi, type Webapi } from './webapi.ts';

export interface ProgramDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  /** Read for every new connection, so that a rotated password is picked up. */
  readonly password: () => string;
  readonly privateKey: KeyObject;
  readonly publicKeys: ReadonlyMap<string, KeyObject>;
}

/** webapi with everything it stands on. Closing it closes all of that as well, in reverse order of start. */
export function createProgram(deps: ProgramDeps, config: ProgramConfig): Webapi {
  const { logger, clock, random } = deps;
  const { databases, regionKey, webapi: settings } = config;
  const registry = new Registry();
  const targetOf = ({ host, port, database }: { host: string; port: number; database: string }): ConnectionTarget => {
    return () => ({ host, port, database, user: databases.user, password: deps.password() });
  };
  const controlTarget = targetOf(databases.control);
  const control = createPool({ logger, clock }, controlTarget, { ...poolDefaults, name: 'control' });
  const shards = databases.shards.map(shard => ({ shard: shard.shard, connection: targetOf(shard) }));
  const metadata = createMetadata({ logger, clock, random, registry }, { shards, control: controlTarget });
  const accounts = createAccounts(
    { pool: control, target: controlTarget, clock, random, logger, metrics: registry, program: 'webapi' },
    config.accounts,
  );
  const token = { region: settings.region, clock };
  const { privateKey, publicKeys } = deps;
  const subject = `webapi/${settings.serverName}`;
  const signer = createTokenSigner({ ...token, subject, kid: regionKey.kid, privateKey });
  const verifier = createTokenVerifier({ ...token, audience: 'webapi', publicKeys });
  const storageNodes = createStorageNodes({ control });
  const transfers = createTransfers({ storageNodes, signer, clock, random, logger, registry }, settings.transfer);
  const accountAdmin = createAccountAdmin({ pool: control });
  const authenticator = createAuthenticator({ accounts, clock });
  const tier = { metadata, storageNodes, accounts, accountAdmin, authenticator, transfers };
  const webapi = createWebapi({ ...tier, signer, verifier, logger, registry, clock }, settings);

  return {
    ...webapi,
    close: async () => {
      await webapi.close();
      for (const part of [transfers, accounts, metadata, control]) await part.close();
    },
  };
}
