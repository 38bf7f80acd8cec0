import type { Router } from 'express';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { createControlServer } from '../../lib/control-server/control-server.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { type Cache, type CacheConfig, createCache } from './cache.ts';
import { type Controller, type ControllerConfig, createController } from './controller.ts';
import { createLeaderElector, type LeaderElectionConfig } from './leader-election.ts';
import type { RuntimeMetrics } from './metrics.ts';

export interface ManagerDeps {
  readonly kubernetes: Kubernetes;
  readonly clock: Clock;
  /** Returns [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly metrics: RuntimeMetrics;
  /** Ends the process at once. Called when the lease is lost: what is under way cannot be recalled, only cut off. */
  readonly exit: () => void;
  /** What the program serves on the control port besides health and metrics, by path prefix. */
  readonly routers?: ReadonlyArray<readonly [prefix: string, router: Router]>;
}

export interface ManagerConfig extends CacheConfig {
  readonly control: { readonly host: string; readonly port: number };
  /** Without: this process is alone, and acts as soon as its caches have synced. */
  readonly leaderElection?: LeaderElectionConfig;
  /** Milliseconds that running reconciles get at stop, all together, and then requests to the control port. */
  readonly drainMs: number;
}

/** Something that runs while this process is the leader: a `Task` made by `start`. */
export interface LeaderRunnable {
  readonly name: string;
  start(): void;
  stop(drainMs: number): Promise<void>;
}

/** Runs controllers: their caches, the lease by which only one process acts, health and metrics. */
export interface Manager {
  /** The API for everything that controllers do: it refuses to write (`NotLeader`) as soon as the lease is not held. */
  readonly kubernetes: Kubernetes;
  /** Informers for controllers; all that were asked for before `start` must have synced before a controller starts. */
  readonly cache: Cache;
  /** Adds a controller; before `start`. */
  add(config: ControllerConfig): Controller;
  /** Adds anything else that only the leader runs; before `start`, in the order of starting. */
  addRunnable(runnable: LeaderRunnable): void;
  /** Resolves when the control port listens; caches, lease and controllers follow in that order. */
  start(): Promise<{ readonly url: string }>;
  isLeader(): boolean;
  /** In reverse: controllers, lease, caches, control port, connections. Idempotent. */
  stop(): Promise<void>;
}

const SYNC_LOOK_MS = 20;
/** However long others took, what stops last may end what it has begun. */
const LEAST_DRAIN_MS = 500;

export function createManager(deps: ManagerDeps, config: ManagerConfig): Manager {
  const { clock, logger } = deps;
  const cache = createCache({ ...deps, metrics: deps.metrics.reflector }, config);
  const elector = config.leaderElection && createLeaderElector(deps, config.leaderElection);
  const isLeader = () => elector?.isLeader() ?? true;
  const runnables: LeaderRunnable[] = [];
  const started: LeaderRunnable[] = [];
  let phase: 'new' | 'running' | 'leading' | 'lost' | 'stopping' = 'new';
  let stopped: Promise<void> | undefined;

  const kubernetes = deps.kubernetes.guarded(() => {
    if (!isLeader()) throw new MantaError('NotLeader', 'another process may act by now');
  });
  const control = createControlServer(
    { ...deps, isReady: cache.hasSynced, isLive: () => phase !== 'lost' && (phase !== 'leading' || isLeader()) },
    { ...config.control, drainMs: config.drainMs },
  );

  function lead(): void {
    if (phase !== 'running') return;
    phase = 'leading';
    for (const runnable of runnables) {
      runnable.start();
      started.push(runnable);
    }
  }

  function whenSynced(then: () => void): void {
    const began = clock.monotonic();
    const look = () => {
      if (phase !== 'running') return;
      if (!cache.hasSynced()) {
        setTimeout(look, SYNC_LOOK_MS);
        return;
      }
      logger.info({ durationMs: Math.round(clock.monotonic() - began) }, 'caches synced');
      then();
    };
    look();
  }

  function lost(): void {
    phase = 'lost';
    deps.exit();
  }

  async function stopAll(): Promise<void> {
    phase = 'stopping';
    const until = clock.monotonic() + config.drainMs;
    for (const runnable of started.splice(0).reverse()) {
      await runnable.stop(Math.max(LEAST_DRAIN_MS, until - clock.monotonic()));
    }
    await elector?.stop();
    await cache.stop();
    await control.close();
    await deps.kubernetes.close();
  }

  return {
    kubernetes,
    cache,
    isLeader: () => phase === 'leading' && isLeader(),
    add(controllerConfig) {
      const controller = createController(deps, controllerConfig);
      runnables.push(controller);
      return controller;
    },
    addRunnable: runnable => void runnables.push(runnable),
    async start() {
      phase = 'running';
      const { url } = await control.listen();
      cache.start();
      whenSynced(() => (elector === undefined ? lead() : elector.start({ onElected: lead, onLost: lost })));
      return { url };
    },
    stop: () => {
      stopped ??= stopAll();
      return stopped;
    },
  };
}
