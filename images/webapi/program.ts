import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { createAccountAdmin } from '../../lib/auth/account-admin.ts';
import { createAccounts } from '../../lib/auth/accounts.ts';
import type { Coordinator } from '../../lib/coordinator/coordinator.ts';
import type { DatabaseTarget } from '../../lib/database/moving-target.ts';
import { createPool, poolDefaults } from '../../lib/database/pool.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createMetadata } from '../../lib/metadata/metadata.ts';
import { createStorageNodes } from '../../lib/metadata/storage-nodes.ts';
import { createTokenSigner, createTokenVerifier } from '../../lib/region-token/region-token.ts';
import { createResolvers, type Resolvers } from '../../lib/shard/resolvers.ts';
import { createAuthenticator } from './auth/authenticator.ts';
import { bringTablesAbout, type OwnedDatabase } from './migrations.ts';
import type { ProgramConfig } from './program-config.ts';
import { createRingAdmin } from './ring-admin.ts';
import { createTransfers } from './transfer/transfers.ts';
import { createWebapi, type Webapi } from './webapi.ts';

export interface ProgramDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  /** The content of a password file. Read for every new connection, so that a rotated password is picked up. */
  readonly password: (file: string) => string;
  /** The region's etcd, with `nameservice` in the configuration; closed with the program. */
  readonly coordinator?: Coordinator | undefined;
  readonly privateKey: KeyObject;
  readonly publicKeys: ReadonlyMap<string, KeyObject>;
}

/**
 * Milliseconds that a call may wait for a connection or a batch where primaries move: half a second, which otherwise means
 * overload, is less than a takeover takes (replication.md §1.3).
 */
const MOVING_MAX_WAIT_MS = 3_000;

/** webapi as a program of its own. */
export interface Program extends Omit<Webapi, 'listen'> {
  /** As that of webapi, once the tables are there. Undefined: it was closed before. */
  listen(): Promise<{ readonly url: string; readonly internalUrl: string } | undefined>;
}

/**
 * webapi with everything it stands on. Its internal listener is there at once; the public one when the tables are. Closing
 * it closes all of that as well, in reverse order of start.
 */
export function createProgram(deps: ProgramDeps, config: ProgramConfig): Program {
  const { logger, clock, random } = deps;
  const { databases, regionKey, webapi: settings } = config;
  const registry = new Registry();
  const resolvers = followShards({ ...deps, registry }, config);
  const limits = resolvers === undefined ? {} : { maxWaitMs: MOVING_MAX_WAIT_MS };
  const { targetOf, owned } = createTargets(deps, config, resolvers);
  const controlTarget = targetOf(databases.control);
  const control = createPool({ logger, clock }, controlTarget, { ...poolDefaults, ...limits, name: 'control' });
  const shards = databases.shards.map(shard => ({ shard: shard.shard, connection: targetOf(shard) }));
  const metadata = createMetadata({ logger, clock, random, registry }, { ...limits, shards, control: controlTarget });
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
  const ring = createRingAdmin({ logger, clock, control }, shards);
  const tier = { metadata, storageNodes, accounts, accountAdmin, authenticator, transfers, ring };
  const webapi = createWebapi({ ...tier, signer, verifier, logger, registry, clock }, settings);
  const closing = new AbortController();

  return {
    ...webapi,
    listen: async () => {
      await webapi.listenInternally();
      const { signal } = closing;
      await bringTablesAbout({ logger, signal }, owned()).catch(error => {
        if (!signal.aborted) throw error;
      });
      return signal.aborted ? undefined : webapi.listen();
    },
    close: async () => {
      closing.abort();
      await webapi.close();
      for (const part of [transfers, accounts, metadata, control, resolvers, deps.coordinator]) await part?.close();
    },
  };
}

function followShards(
  deps: ProgramDeps & { readonly registry: Registry },
  config: ProgramConfig,
): Resolvers | undefined {
  const { coordinator } = deps;
  if (coordinator === undefined || config.nameservice === undefined) return undefined;
  return createResolvers({ ...deps, coordinator, fetch }, { root: config.nameservice.root, program: 'webapi' });
}

/** A database at the place that the configuration names, or wherever the primary of its shard is. */
function createTargets(
  deps: Pick<ProgramDeps, 'password'>,
  { databases }: ProgramConfig,
  resolvers: Resolvers | undefined,
): { targetOf(place: Place): DatabaseTarget; owned(): OwnedDatabase[] } {
  const as = ({ host, port, shard, database }: Place, user: string, file: string): DatabaseTarget => {
    const settings = () => ({ database, user, password: deps.password(file) });
    if (host !== undefined) return () => ({ ...settings(), host, port });
    if (resolvers === undefined || shard === undefined) {
      throw new MantaError('InvalidConfiguration', `nothing says where the database ${database} is`);
    }
    return resolvers.of(shard).target(settings);
  };
  const ownedAs = (holds: OwnedDatabase['holds'], place: Place): OwnedDatabase[] => {
    const { migratePasswordFile: file } = place;
    return file === undefined ? [] : [{ holds, target: as(place, databases.migrateUser, file) }];
  };
  return {
    targetOf: place => as(place, databases.user, place.passwordFile ?? databases.passwordFile),
    owned: () => [
      ...databases.shards.flatMap(place => ownedAs('index', place)),
      ...ownedAs('control', databases.control),
    ],
  };
}

interface Place {
  readonly host?: string | undefined;
  readonly port: number;
  readonly shard?: number | undefined;
  readonly database: string;
  readonly passwordFile?: string | undefined;
  readonly migratePasswordFile?: string | undefined;
}
