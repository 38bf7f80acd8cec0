import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { type ControlServer, createControlServer } from '../../lib/control-server/control-server.ts';
import type { Coordinator } from '../../lib/coordinator/coordinator.ts';
import { followPrefix, type PrefixView } from '../../lib/coordinator/follow-prefix.ts';
import { type Registration, register } from '../../lib/coordinator/registration.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { shardKeys } from '../../lib/shard/keys.ts';
import { act } from './act.ts';
import { type Backups, startBackups } from './backup/backups.ts';
import { registerBackupMetrics } from './backup/metrics.ts';
import { openTarget } from './backup/open-target.ts';
import { backupWish } from './backup/wish.ts';
import type { SitterConfig } from './config.ts';
import { decide } from './decide.ts';
import { createFailures, type Failures } from './failures.ts';
import { createJobs, type RunningJobs } from './jobs.ts';
import { identityOf } from './lines.ts';
import { type OpenedLocalRecord, openLocalRecord } from './local-record.ts';
import { createSitterMetrics, type SitterMetrics } from './metrics.ts';
import { createObserver } from './observe.ts';
import { createOwnRecord } from './own-record.ts';
import type { PgServer, ServerDeps } from './pg/create-server.ts';
import { createReport } from './report.ts';
import { createSenses, type Senses } from './senses.ts';
import { createSitter, type Sitter } from './sitter.ts';
import type { Me, Snapshot } from './snapshot.ts';
import { adminRouter, internalRouter, isLive, isReady } from './status.ts';
import { createShardStore } from './store.ts';

export interface ProgramDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  /** The program closes it. */
  readonly coordinator: Coordinator;
  /** PostgreSQL on this volume, which is locked. */
  readonly createServer: (deps: ServerDeps) => Promise<PgServer>;
  readonly randomName: () => string;
  /** Failure domain, for display. */
  readonly zone?: string | undefined;
}

/** A peer: a sitter with everything it stands on. */
export interface SitterProgram {
  /**
   * Resolves when it has ended as it was asked to, its registration given back. Rejects when it cannot go on; PostgreSQL
   * has been killed then.
   */
  readonly ended: Promise<void>;
  /** SIGTERM: it gives its role away, stops PostgreSQL, and ends. */
  terminate(): void;
}

/** What lives as long as the process and is there before the loop. */
interface Base {
  readonly deps: ProgramDeps;
  readonly config: SitterConfig;
  readonly now: () => number;
  readonly registry: Registry;
  readonly metrics: SitterMetrics;
  readonly coordinator: Coordinator;
  readonly failures: Failures;
  readonly local: OpenedLocalRecord;
  readonly server: PgServer;
  readonly me: Me;
  readonly onChange: () => void;
  readonly terminatingSince: () => number | undefined;
}

interface Parts {
  readonly sitter: Sitter;
  readonly senses: Senses;
  readonly jobs: RunningJobs;
  readonly prefix: PrefixView;
  readonly registration: Registration;
  readonly control: ControlServer;
  readonly backups: Backups;
}

const KILL_MS = 10_000;

/**
 * Starts a peer (replication.md §7.1) on a volume whose lock is held, and resolves once its loop runs. Throws MantaError
 * `LocalRecordUnreadable` or `VolumeMismatch`, and what `createServer` throws.
 */
export async function startProgram(deps: ProgramDeps, config: SitterConfig): Promise<SitterProgram> {
  let terminatingSince: number | undefined;
  let parts: Parts | undefined;
  const base = await takeVolume(deps, config, {
    // What has something to tell before the loop is there, the first round sees.
    onChange: () => parts?.sitter.poke(),
    terminatingSince: () => terminatingSince,
  });
  parts = await assemble(base);
  await parts.control.listen();
  deps.logger.info({ ...base.me, shard: config.shard }, 'listening');
  const { previousSession } = base.local;
  // Whoever held this volume before is dead: the lock says so (§6.3).
  if (previousSession !== undefined) void parts.registration.replaceSession(previousSession);
  const { sitter } = parts;
  return {
    ended: live(base, parts),
    terminate() {
      terminatingSince ??= base.now();
      sitter.poke();
    },
  };
}

/** Steps 1 and 2 of §7.1: the local record, and no PostgreSQL of a former life. */
async function takeVolume(
  deps: ProgramDeps,
  config: SitterConfig,
  wiring: Pick<Base, 'onChange' | 'terminatingSince'>,
): Promise<Base> {
  const { logger, clock, randomName } = deps;
  const now = () => clock.monotonic();
  const registry = new Registry();
  const metrics = createSitterMetrics(registry, now);
  const session = randomName();
  const { shard, id } = config;
  const local = await openLocalRecord(join(config.dataDir, 'sitter', 'local.json'), { shard, id, session });
  const { onChange } = wiring;
  const currentIncarnation = () => local.current().incarnation;
  const server = await deps.createServer({ logger, clock, randomName, currentIncarnation, onChange });
  await server.stop('kill', new AbortController().signal);
  return {
    deps,
    config,
    now,
    registry,
    metrics,
    coordinator: metrics.measured(deps.coordinator),
    failures: createFailures({ logger, now }),
    local,
    server,
    me: describeSelf(config, session, server.pgMajor, deps.zone),
    ...wiring,
  };
}

function describeSelf(config: SitterConfig, session: string, pgMajor: number, zone = config.zone): Me {
  const { id, node } = config;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return {
    id,
    session,
    pgUrl: `postgresql://${host}:${config.postgres.port}`,
    sitterUrl: `http://${host}:${config.sitter.port}`,
    ...(zone === undefined ? {} : { zone }),
    ...(node === undefined ? {} : { node }),
    pgMajor,
  };
}

/** The loop and what surrounds it. Nothing of it calls another part before the loop runs. */
async function assemble(base: Base): Promise<Parts> {
  const { deps, config, now, me, local, coordinator, failures, metrics, onChange } = base;
  const { logger, clock, randomName } = deps;
  const { times } = config;
  const keys = shardKeys(config.etcd.root, config.shard);
  const last = () => sitter.last()?.snapshot;
  let backups: Backups | undefined;
  const server = stoppingAfter(base.server, () => backups?.letGo());
  const jobs = createJobs({ logger, now, failures }, onChange);
  const record = createOwnRecord({ logger, now, write: () => registration.update() }, me, {
    local: local.current(),
    server: await server.observe(),
    health: 'starting',
    progress: undefined,
    rule: undefined,
  });
  const registration = register({ logger, clock }, coordinator, {
    key: keys.peer(me.id),
    session: me.session,
    value: record.value,
    ttlMs: times.leaseMs,
  });
  const prefix = followPrefix({ logger, clock }, coordinator, keys.prefix);
  const store = createShardStore({ logger, clock, coordinator, prefix, registration }, { keys, id: me.id });
  store.onChange(onChange);
  const identity = () => identityOf(me, local.current());
  const senses = createSenses({ logger, now, identity, last }, { shard: config.shard, id: me.id, times }, onChange);
  const { terminatingSince } = base;
  const observed = { now, server, store, local, record, jobs, failures, detector: senses.detector, terminatingSince };
  const pace = { now, sleep: (ms: number) => sleep(ms) };
  const ports = { logger, pace, server, store, record, local, jobs, randomName };
  const sitter = createSitter(
    {
      logger,
      now,
      failures,
      observe: createObserver(observed, me, times),
      decide,
      act: (snapshot, action) => act(ports, snapshot, action),
      report: createReport({ logger, record, metrics, sender: senses.sender, jobs }),
      acted: metrics.acted,
    },
    times,
  );
  backups = startBackupsOf(base, last);
  const control = createPort(base, sitter, senses, backups);
  return { sitter, senses, jobs, prefix, registration, control, backups };
}

/** The same server, which is told of its stop before it begins. */
function stoppingAfter(server: PgServer, first: () => void): PgServer {
  return {
    ...server,
    stop(mode, signal) {
      first();
      return server.stop(mode, signal);
    },
  };
}

function startBackupsOf({ deps, config, registry, server }: Base, last: () => Snapshot | undefined): Backups {
  const { logger, clock } = deps;
  const wish = () => {
    const snapshot = last();
    return snapshot === undefined ? undefined : backupWish(snapshot);
  };
  const open = (address: string) => openTarget(address, config.backup);
  const backups = startBackups({ logger, clock, site: server.site, open, wish, peer: config.id });
  registerBackupMetrics(registry, backups);
  return backups;
}

/** The sitter's port: probes, metrics, what programs, peers and people ask, and the heartbeats (§12.4). */
function createPort(base: Base, sitter: Sitter, { receiver }: Senses, backups: Backups): ControlServer {
  const { deps, config, registry, now, me, local } = base;
  const identity = () => identityOf(me, local.current());
  const status = { now, identity, sitter, receiver, backup: () => backups.status() };
  return createControlServer(
    {
      logger: deps.logger,
      registry,
      isLive: () => isLive(status),
      isReady: () => isReady(sitter.last()?.snapshot),
      upgrade: receiver.accept,
      routers: [
        ['/internal/v1', internalRouter(status)],
        ['/admin/v1', adminRouter(status)],
      ],
    },
    { host: config.sitter.listen, port: config.sitter.port, drainMs: 100 },
  );
}

async function live({ deps, server, coordinator }: Base, parts: Parts): Promise<void> {
  const { sitter, senses, jobs, prefix, registration, control, backups } = parts;
  try {
    await sitter.run();
    await jobs.stop();
  } catch (error) {
    deps.logger.fatal({ err: error }, 'the loop failed');
    // Where no container ends with this process, PostgreSQL must not outlive it either.
    await server.stop('kill', AbortSignal.timeout(KILL_MS)).catch(() => {});
    throw error;
  } finally {
    await registration.release();
    await backups.stop();
    senses.close();
    await control.close();
    await prefix.close();
    await coordinator.close();
    deps.logger.info('ended');
  }
}
