import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { createClusterNodes } from '../controllers/cluster-nodes.ts';
import type { ControllerDeps } from '../controllers/deps.ts';
import type { EventReason } from '../controllers/events.ts';
import { createInformers } from '../controllers/informers.ts';
import { mantaRegionController } from '../controllers/manta-region/controller.ts';
import type { Addresses } from '../controllers/region-clients.ts';
import { clusterAddresses, createRegionClients } from '../controllers/region-clients.ts';
import { createSecretStore } from '../controllers/secrets/secret-store.ts';
import { shardController } from '../controllers/shard/controller.ts';
import { storageNodeController } from '../controllers/storage-node/controller.ts';
import { createWebapiView } from '../controllers/webapi-view.ts';
import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';
import type { OperatorConfig } from './config.ts';
import { createApplier } from './runtime/applier.ts';
import { createEventRecorder } from './runtime/event-recorder.ts';
import { createManager, type Manager } from './runtime/manager.ts';
import type { RuntimeMetrics } from './runtime/metrics.ts';
import { createStatusWriter } from './runtime/status-writer.ts';

/** Under this name the operator owns fields, and holds its Lease. */
const NAME = 'manta-operator';
/** A status is written at most so often: operations.md §3.1. */
const STATUS_MS = 5_000;

export interface OperatorDeps {
  readonly kubernetes: Kubernetes;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly metrics: RuntimeMetrics;
  /** Name of this process, in tokens and events. */
  readonly instance: string;
  /** Of this life of it: no other may have had it. */
  readonly identity: string;
  /** Ends the process at once: the lease is lost, and somebody else acts. */
  readonly exit: () => void;
  /** Where the region's programs are. Default: by cluster DNS and the addresses of pods. */
  readonly addresses?: Addresses;
}

/** The operator of one region namespace: its controllers on one manager. */
export function createOperator(
  deps: OperatorDeps,
  config: OperatorConfig,
): Pick<Manager, 'start' | 'stop' | 'isLeader'> {
  const { clock, logger } = deps;
  const manager = createManager(deps, {
    control: config.control,
    drainMs: config.drainMs,
    fieldManagers: [NAME],
    ...(config.leaderElection
      ? { leaderElection: { namespace: config.namespace, name: NAME, identity: deps.identity } }
      : {}),
  });
  const { kubernetes } = manager;
  const informers = createInformers(manager.cache, config.namespace);
  const applier = createApplier({ kubernetes }, { fieldManager: NAME });
  const events = createEventRecorder<EventReason>(
    { kubernetes, clock, logger, metrics: deps.metrics },
    { controller: 'manta.io/operator', instance: deps.instance },
  );
  const secrets = createSecretStore({ kubernetes, clock });
  const clients = createRegionClients(
    { logger, clock, addresses: deps.addresses ?? clusterAddresses },
    { instance: deps.instance },
  );
  const controllers: ControllerDeps = {
    kubernetes,
    informers,
    applier,
    status: createStatusWriter({ applier, clock }, { minIntervalMs: STATUS_MS }),
    events,
    secrets,
    clients,
    nodes: createClusterNodes({ kubernetes, clock }),
    webapi: createWebapiView({ clock, pods: informers.pods, secrets, clients }),
    clock,
    defaults: {
      ...config.images,
      priorityClass: config.priorityClass === '' ? undefined : config.priorityClass,
    },
  };
  manager.addRunnable({ name: 'events', start: events.start, stop: events.stop });
  for (const controller of [mantaRegionController, shardController, storageNodeController])
    manager.add(controller(controllers));
  return {
    start: manager.start,
    isLeader: manager.isLeader,
    async stop() {
      await manager.stop();
      await clients.close();
    },
  };
}
