import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { Registry } from 'prom-client';
import { type AccountChange, createAccountAdmin } from '../../../lib/auth/account-admin.ts';
import { accountsSchema, createAccounts } from '../../../lib/auth/accounts.ts';
import { authMigrations } from '../../../lib/auth/migrations.ts';
import { aKeyPair, type KeyKind, type TestKeyPair } from '../../../lib/auth/testing.ts';
import { createPool, type Pool, poolDefaults } from '../../../lib/database/pool.ts';
import { createTestDatabases, type TestDatabases } from '../../../lib/database/testing.ts';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { createFirstRing } from '../../../lib/metadata/first-ring.ts';
import { createMetadata } from '../../../lib/metadata/metadata.ts';
import { createStorageNodes } from '../../../lib/metadata/storage-nodes.ts';
import type { Metadata, StorageNodes } from '../../../lib/metadata/types.ts';
import {
  createTokenSigner,
  createTokenVerifier,
  signNodeToken,
  type TokenSigner,
  type TokenVerifier,
} from '../../../lib/region-token/region-token.ts';
import { storageConfigSchema } from '../../storage/config.ts';
import { createStorageNode, type StorageNode } from '../../storage/storage-node.ts';
import { createAuthenticator } from '../auth/authenticator.ts';
import { type WebapiConfig, webapiConfigSchema } from '../config.ts';
import { createTransfers } from '../transfer/transfers.ts';
import { createWebapi, type Webapi } from '../webapi.ts';
import { createTestClient, type TestClient } from './client.ts';

const REGION = 'test';

/** A whole region in this process: two index databases, three storage nodes, webapi. Nothing in it is a stand-in. */
export interface TestRegion {
  readonly url: string;
  readonly internalUrl: string;
  readonly metadata: Metadata;
  readonly webapi: Webapi;
  readonly databases: TestDatabases;
  readonly nodes: readonly StorageNode[];
  /** Directories of the storage nodes, in order. */
  readonly volumes: readonly string[];
  /** Everything webapi has logged, parsed. */
  readonly log: readonly Record<string, unknown>[];
  /** Makes an account with one key; its login is new unless given. */
  account(options?: {
    login?: string;
    kind?: KeyKind;
    pair?: TestKeyPair;
    change?: AccountChange;
  }): Promise<TestClient>;
  /** Another client of an account's login, with a key of its own that the account does not know. */
  stranger(login: string): TestClient;
  /** Relative paths of all files below the nodes' `tmp` directories. */
  temporaries(): Promise<string[]>;
  close(): Promise<void>;
}

/** Starts a region and waits until it takes writes. `changes` are laid over the configuration of its webapi. */
export async function startRegion(changes: Readonly<Record<string, unknown>> = {}): Promise<TestRegion> {
  const closers: Closers = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await compose(changes, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs `fn` against a region of its own. */
export async function withRegion<T>(
  fn: (region: TestRegion) => Promise<T>,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<T> {
  const region = await startRegion(changes);
  try {
    return await fn(region);
  } finally {
    await region.close();
  }
}

type Closers = (() => Promise<unknown>)[];

async function compose(
  changes: Readonly<Record<string, unknown>>,
  closers: Closers,
  close: () => Promise<void>,
): Promise<TestRegion> {
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info' }, { write: line => log.push(JSON.parse(line) as Record<string, unknown>) });
  const databases = await createTestDatabases({ control: [authMigrations] });
  closers.push(() => databases.drop());
  const control = openPool(databases, closers, logger);
  await createRing(databases, control, logger);
  const tokens = regionTokens();
  const front = composeWebapi({ databases, control, logger, tokens }, testConfig(changes), closers);
  const { url, internalUrl } = await front.webapi.listen();
  closers.push(() => front.webapi.close());
  const { nodes, volumes } = await startNodes({ internalUrl, logger, ...tokens }, closers);
  await eventually(() => front.isReady(nodes.length));

  const agent = new Agent({ keepAlive: true });
  closers.push(async () => agent.destroy());
  let logins = 0;
  return {
    url,
    internalUrl,
    metadata: front.metadata,
    webapi: front.webapi,
    databases,
    nodes,
    volumes,
    log,
    close,
    account: async ({ login, kind = 'p256', pair = aKeyPair(kind), change = {} } = {}) => {
      logins += 1;
      const name = login ?? `user${logins}`;
      await front.accountAdmin.put(name, { email: `${name}@example.com`, ...change });
      await front.accountAdmin.putKey(name, 'test', pair.openSsh);
      return createTestClient(url, agent, name, pair);
    },
    stranger: login => createTestClient(url, agent, login, aKeyPair('p256')),
    temporaries: async () => {
      const found = await Promise.all(volumes.map(volume => readdir(join(volume, 'tmp'), { recursive: true })));
      return found.flat();
    },
  };
}

interface Tokens {
  readonly signer: TokenSigner;
  readonly verifierFor: (audience: string) => TokenVerifier;
}

function regionTokens(): Tokens {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const common = { region: REGION, clock: systemClock };
  const publicKeys = new Map([['k1', publicKey]]);
  return {
    signer: createTokenSigner({ ...common, subject: 'webapi/test', kid: 'k1', privateKey }),
    verifierFor: audience => createTokenVerifier({ ...common, audience, publicKeys }),
  };
}

/** webapi and what it stands on; `isReady` is true once it has seen that many storage nodes. */
function composeWebapi(
  deps: { databases: TestDatabases; control: Pool; logger: Logger; tokens: Tokens },
  config: WebapiConfig,
  closers: Closers,
) {
  const { databases, control, logger, tokens } = deps;
  const clock = systemClock;
  const random = Math.random;
  const registry = new Registry();
  const { signer } = tokens;
  const shards = databases.index.map((connection, i) => ({ shard: i + 1, connection }));
  // Two cores that also run other suites are no measure of overload.
  const settings = { shards, control: databases.control, maxWaitMs: 10_000 };
  const metadata = createMetadata({ logger, clock, registry }, settings);
  closers.push(() => metadata.close());
  const accounts = createAccounts(
    { pool: control, target: databases.control, clock, random, logger, metrics: registry, program: 'webapi' },
    accountsSchema.parse({}),
  );
  closers.push(() => accounts.close());
  const storageNodes = createStorageNodes({ control });
  let nodesSeen = 0;
  const countingNodes: Pick<StorageNodes, 'list'> = {
    list: async options => {
      const list = await storageNodes.list(options);
      nodesSeen = list.length;
      return list;
    },
  };
  const transfers = createTransfers(
    { storageNodes: countingNodes, signer, clock, random, logger, registry },
    config.transfer,
  );
  closers.push(() => transfers.close());
  const accountAdmin = createAccountAdmin({ pool: control });
  const authenticator = createAuthenticator({ accounts, clock });
  const tier = { metadata, storageNodes, accounts, accountAdmin, authenticator, transfers };
  const verifier = tokens.verifierFor('webapi');
  const webapi = createWebapi({ ...tier, signer, verifier, logger, registry, clock }, config);
  const isReady = (nodes: number) => metadata.isAvailable() && accounts.isAvailable() && nodesSeen === nodes;
  return { webapi, metadata, accountAdmin, isReady };
}

/** One machine's disk is shared by all nodes, so what counts as full is set wide. */
function testConfig(changes: Readonly<Record<string, unknown>>): WebapiConfig {
  const { transfer, ...rest } = changes as { transfer?: object };
  return webapiConfigSchema.parse({
    region: REGION,
    listen: { host: '127.0.0.1', port: 0 },
    control: { host: '127.0.0.1', port: 0 },
    insecureHttp: true,
    ...rest,
    transfer: {
      refreshMs: 50,
      maxUtilizationPct: 100,
      maxOperatorUtilizationPct: 100,
      minInodesFree: 0,
      reserveBytes: 1 << 20,
      ...transfer,
    },
  });
}

function openPool(databases: TestDatabases, closers: Closers, logger: Logger): Pool {
  const pool = createPool({ logger, clock: systemClock }, databases.control, { ...poolDefaults, name: 'control' });
  closers.push(() => pool.close());
  return pool;
}

async function createRing(databases: TestDatabases, control: Pool, logger: Logger): Promise<void> {
  const shards = databases.index.map((target, i) => ({
    shard: i + 1,
    pool: createPool({ logger, clock: systemClock }, target, { ...poolDefaults, name: `index-${i + 1}` }),
  }));
  await createFirstRing(control, shards);
  await Promise.all(shards.map(({ pool }) => pool.close()));
}

async function startNodes(
  { internalUrl, signer, verifierFor, logger }: Tokens & { internalUrl: string; logger: Logger },
  closers: Closers,
): Promise<{ nodes: StorageNode[]; volumes: string[] }> {
  const root = await mkdtemp(join(tmpdir(), 'manta-webapi-'));
  closers.push(() => rm(root, { recursive: true, force: true }));
  const nodes: StorageNode[] = [];
  const volumes: string[] = [];
  for (const number of [1, 2, 3]) {
    const storageId = `${number}.stor.test`;
    const dir = join(root, String(number));
    await mkdir(dir);
    const node = createStorageNode(
      {
        logger,
        registry: new Registry(),
        clock: systemClock,
        verifier: verifierFor(`storage/${storageId}`),
        nodeToken: signNodeToken(signer, storageId),
        version: 'test',
      },
      storageConfigSchema.parse({
        storageId,
        dir,
        failureDomain: `host-${number}`,
        webapiUrl: internalUrl,
        floorBytes: 0,
        drainMs: 1000,
      }),
    );
    closers.push(() => node.close());
    await node.listen();
    nodes.push(node);
    volumes.push(dir);
  }
  return { nodes, volumes };
}
