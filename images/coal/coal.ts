import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { type PostgresProcess, startPostgres } from '../../lib/postgres-process/postgres-process.ts';
import { makeSocketDirectory, removeSocketDirectory } from '../../lib/socket-directory/socket-directory.ts';
import type { StorageNode } from '../storage/storage-node.ts';
import { ADMIN, type AdminIdentity, ensureAdmin, loadAdminIdentity } from './admin-account.ts';
import type { CoalConfig } from './config.ts';
import { oneServer, setUpDatabases } from './databases.ts';
import { type ClientEnvironment, writeEnvFile } from './env-file.ts';
import { assertPortFree, keepPort, portProblem } from './free-port.ts';
import { createFrontDoor } from './front-door.ts';
import { loadRegionKey } from './keys.ts';
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
  /** Resolves when a part without which the region cannot go on has ended by itself, with what to tell people. */
  readonly failed: Promise<MantaError>;
  /** Graceful end in reverse order of start: http-api.md §15.4, metadata.md §17. Idempotent. */
  stop(): Promise<void>;
  /** For a process that ends at once: tells the database, which outlives it, to end as well, and waits for nothing. */
  abandon(): void;
}

const ROOT = resolve(import.meta.dirname, '..', '..');
const AGENT_SOCKET = 'agent.sock';

/**
 * Starts a region on a state directory that this process has opened: database, schemas, storage nodes, webapi, account.
 * When `signal` aborts or a step fails, what had been started, and the directory, is closed again. Throws MantaError
 * `PortBusy`, `KeyFile` and those of the parts, with messages for people. metadata.md §17.
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
  const identity = await loadAdminIdentity(config.dir, config.keyFile);
  await assertPortFree(config.port);
  const server = await progress.step('database', () => startDatabase(deps, config, parts));
  state.update({ postgres: { host: server.connection.host, port: server.connection.port } });
  signal.throwIfAborted();
  const databases = await progress.step('schemas', () =>
    setUpDatabases(deps, oneServer(server.connection, state.region.passwords)),
  );
  signal.throwIfAborted();
  const url = await progress.step('storage nodes and API', () =>
    startPrograms(deps, config, { state, databases, identity, signal, parts }),
  );
  const agentSocket = await startAgent(deps, config.dir, identity, parts);
  const environment = { url, account: ADMIN, keyId: identity.keyId, agentSocket };
  writeEnvFile(config.dir, environment, {
    binDirectory: join(ROOT, 'node_modules', 'manta', 'bin'),
    missingSshDirectory: join(import.meta.dirname, 'missing-ssh-directory.cjs'),
  });
  return {
    environment,
    failed: server.exited.then(() => databaseEnded(config.dir)),
    stop: () => parts.end(),
    abandon: () => abandon(server),
  };
}

async function startDatabase(deps: CoalDeps, config: CoalConfig, parts: Parts): Promise<PostgresProcess> {
  const server = await startPostgres(deps, { dir: join(config.dir, 'postgres') });
  parts.add('database', () => server.stop());
  return server;
}

interface Foundation {
  readonly state: StateDirectory;
  readonly databases: Awaited<ReturnType<typeof setUpDatabases>>;
  readonly identity: AdminIdentity;
  readonly signal: AbortSignal;
  readonly parts: Parts;
}

/** The public API opens last, when everything behind it answers. Returns its URL. */
async function startPrograms(deps: CoalDeps, config: CoalConfig, foundation: Foundation): Promise<string> {
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

function databaseEnded(dir: string): MantaError {
  const log = join(dir, 'postgres', 'postgres.log');
  return new MantaError('DatabaseEnded', `the database ended by itself; ${log} says why. Start the region again.`);
}

function abandon(server: PostgresProcess): void {
  try {
    process.kill(server.pid, 'SIGINT');
  } catch {
    // It has ended.
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port || 80);
}
