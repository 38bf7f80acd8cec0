import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { makeSocketDirectory, removeSocketDirectory } from '../../lib/socket-directory/socket-directory.ts';
import type { StorageNode } from '../storage/storage-node.ts';
import { ADMIN, type AdminIdentity, ensureAdmin, loadAdminIdentity } from './admin-account.ts';
import type { CoalConfig } from './config.ts';
import { assertSameDatabases, shardDirOf } from './database-kind.ts';
import { type DatabaseHost, setUpDatabases } from './databases.ts';
import { type ClientEnvironment, writeEnvFile } from './env-file.ts';
import { assertPortFree, keepPort, portProblem } from './free-port.ts';
import { createFrontDoor } from './front-door.ts';
import { loadRegionKey } from './keys.ts';
import { startOneServer } from './one-server.ts';
import { startOneShard } from './one-shard.ts';
import { createParts, type Parts } from './parts.ts';
import type { Progress } from './progress.ts';
import { createRegionTokens } from './region-tokens.ts';
import { startSshAgent } from './ssh-agent.ts';
import type { StateDirectory } from './state-directory.ts';
import { startStorageNodes } from './storage-nodes.ts';

export interface CoalDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly progress: Progress;
}

/** A running region. */
export interface Coal {
  readonly environment: ClientEnvironment;
  /** Where the shard of its databases is kept; absent when they are on one server. */
  readonly shardDir?: string;
  /** Resolves when a part without which the region cannot go on has ended by itself, with what to tell people. */
  readonly failed: Promise<MantaError>;
  /** Graceful end in reverse order of start: http-api.md §15.4, metadata.md §17. Idempotent. */
  stop(): Promise<void>;
  /** For a process that ends at once: tells the databases, which outlive it, to end as well, and waits for nothing. */
  abandon(): void;
}

const ROOT = resolve(import.meta.dirname, '..', '..');
const AGENT_SOCKET = 'agent.sock';

/**
 * Starts a region on a state directory that this process has opened: database, schemas, storage nodes, webapi, account.
 * When `signal` aborts or a step fails, what had been started, and the directory, is closed again. Throws MantaError
 * `PortBusy`, `KeyFile`, `DatabaseKind` and those of the parts, with messages for people. metadata.md §17.
 */
export async function createCoal(
  deps: CoalDeps,
  config: CoalConfig,
  state: StateDirectory,
  signal: AbortSignal,
): Promise<Coal> {
  const parts = createParts(deps);
  parts.add('state directory', () => state.close());
  try {
    return await start(deps, { ...config, dir: state.path }, state, signal, parts);
  } catch (error) {
    await parts.end();
    throw error;
  }
}

async function start(
  deps: CoalDeps,
  config: CoalConfig,
  state: StateDirectory,
  signal: AbortSignal,
  parts: Parts,
): Promise<Coal> {
  const { progress } = deps;
  const registry = new Registry();
  assertSameDatabases(config.dir, config.shardPeers);
  const identity = await loadAdminIdentity(config.dir, config.keyFile);
  await assertPortFree(config.port);
  const host = await startDatabases({ ...deps, registry }, config, { state, signal, parts });
  signal.throwIfAborted();
  const databases = await progress.step('schemas', () => setUpDatabases(deps, host));
  signal.throwIfAborted();
  const url = await progress.step('storage nodes and API', () =>
    startPrograms({ ...deps, registry }, config, { state, databases, identity, signal, parts }),
  );
  const agentSocket = await startAgent(deps, config.dir, identity, parts);
  const environment = { url, account: ADMIN, keyId: identity.keyId, agentSocket };
  writeEnvFile(config.dir, environment, {
    binDirectory: join(ROOT, 'node_modules', 'manta', 'bin'),
    missingSshDirectory: join(import.meta.dirname, 'missing-ssh-directory.cjs'),
  });
  return {
    environment,
    ...(config.shardPeers === undefined ? {} : { shardDir: shardDirOf(config.dir) }),
    failed: host.failed,
    stop: () => parts.end(),
    abandon: () => host.abandon(),
  };
}

interface Start {
  readonly state: StateDirectory;
  readonly signal: AbortSignal;
  readonly parts: Parts;
}

function startDatabases(
  deps: CoalDeps & { readonly registry: Registry },
  { dir, shardPeers: peers }: CoalConfig,
  { state, signal, parts }: Start,
): Promise<DatabaseHost> {
  if (peers === undefined) return deps.progress.step('database', () => startOneServer(deps, state, parts));
  return deps.progress.step('shard', say => startOneShard(deps, { dir, peers, signal, say }, parts));
}

interface Foundation extends Start {
  readonly databases: Awaited<ReturnType<typeof setUpDatabases>>;
  readonly identity: AdminIdentity;
}

/** The public API opens last, when everything behind it answers. Returns its URL. */
async function startPrograms(
  deps: CoalDeps & { readonly registry: Registry },
  config: CoalConfig,
  foundation: Foundation,
): Promise<string> {
  const { state, databases, identity, signal, parts } = foundation;
  const { name: region, ports } = state.region;
  const tokens = createRegionTokens(region, await loadRegionKey(config.dir), deps.clock);
  const door = createFrontDoor(
    { ...deps, tokens, databases },
    { ...config, region, internalPort: await keepPort(ports.internal) },
    parts,
  );
  // Before webapi in the order of start, so that nodes outlast the requests that webapi still has.
  const nodes: StorageNode[] = [];
  parts.add('storage nodes', () => Promise.all(nodes.map(node => node.close())));
  parts.add('webapi', () => door.webapi.close());
  const { internalUrl } = await door.webapi.listenInternally();
  const [storage] = await Promise.all([
    startStorageNodes({ ...deps, tokens }, { ...config, region, webapiUrl: internalUrl, ports: ports.storage }, nodes),
    ensureAdmin(door.accountAdmin, identity),
  ]);
  await door.ready(signal);
  const { url } = await door.webapi.listen().catch(error => {
    throw portProblem(config.port, error) ?? error;
  });
  state.update({ ports: { public: portOf(url), internal: portOf(internalUrl), storage } });
  return url;
}

async function startAgent(
  deps: CoalDeps,
  dir: string,
  { privateKey }: AdminIdentity,
  parts: Parts,
): Promise<string | undefined> {
  if (privateKey === undefined) return undefined;
  const beside = join(dir, 'agent');
  const socketDir = makeSocketDirectory(beside, AGENT_SOCKET);
  const agent = await startSshAgent(deps, { socketPath: join(socketDir, AGENT_SOCKET), privateKey });
  parts.add('agent', async () => {
    await agent.close();
    removeSocketDirectory(socketDir, beside);
  });
  return agent.socketPath;
}

function portOf(url: string): number {
  return Number(new URL(url).port || 80);
}
