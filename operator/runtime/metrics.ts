import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Exchange } from '../../lib/kubernetes/transport.ts';
import type { ReflectorMetrics } from './reflector.ts';
import type { WorkQueue, WorkQueueMetrics } from './work-queue.ts';

/** How a reconcile ended, by controller-runtime's words. */
export type ReconcileOutcome = 'success' | 'requeue_after' | 'error';

/** What a controller tells of itself. */
export interface ControllerMetrics {
  readonly queue: WorkQueueMetrics;
  /** The queue that `workqueue_depth` and its like look at. */
  watchQueue(queue: Pick<WorkQueue, 'depth' | 'working'>): void;
  workers(most: number): void;
  started(): void;
  ended(outcome: ReconcileOutcome, durationMs: number): void;
  /** It failed with an error that only a mistake of the program makes. */
  panicked(): void;
  timedOut(): void;
}

/** The metrics of the runtime, by the names that controller-runtime and client-go gave them. */
export interface RuntimeMetrics {
  /** For `connectKubernetes`. */
  readonly observeExchange: (exchange: Exchange) => void;
  readonly reflector: ReflectorMetrics;
  controller(name: string): ControllerMetrics;
  leader(lease: string, isLeader: boolean): void;
  /** An event that was not written, by what became of it. */
  eventLost(why: 'full' | 'spam' | 'refused'): void;
}

const RECONCILE_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60];
const QUEUE_BUCKETS_S = [0.0001, 0.001, 0.01, 0.1, 1, 10, 100, 1_000];
const REQUEST_BUCKETS_S = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/** Registers them; once for a registry. */
export function createRuntimeMetrics(registry: Registry): RuntimeMetrics {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  const lost = counter('event_recorder_lost_total', 'Events that were not written', ['reason']);
  const leader = new Gauge({
    name: 'leader_election_master_status',
    help: '1 while this process holds the lease',
    labelNames: ['name'],
    registers,
  });
  const controllers = controllerMetrics(registry);
  return {
    observeExchange: clientMetrics(registry),
    reflector: reflectorMetrics(counter),
    controller: controllers,
    leader: (lease, isLeader) => leader.set({ name: lease }, isLeader ? 1 : 0),
    eventLost: why => lost.inc({ reason: why }),
  };
}

function clientMetrics(registry: Registry): RuntimeMetrics['observeExchange'] {
  const registers = [registry];
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server',
    labelNames: ['code', 'method', 'host'],
    registers,
  });
  const durations = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'Seconds until the head of the answer',
    labelNames: ['verb', 'host'],
    buckets: REQUEST_BUCKETS_S,
    registers,
  });
  return ({ method, code, host, durationMs }) => {
    requests.inc({ code, method, host });
    durations.observe({ verb: method, host }, durationMs / 1_000);
  };
}

function reflectorMetrics(counter: (name: string, help: string, labelNames: string[]) => Counter): ReflectorMetrics {
  const lists = counter('reflector_lists_total', 'Complete lists that were begun', ['name']);
  const watches = counter('reflector_watches_total', 'Watches that were begun', ['name']);
  const failures = counter('reflector_failures_total', 'Lists and watches that broke off', ['name']);
  return {
    listed: name => lists.inc({ name }),
    watched: name => watches.inc({ name }),
    brokeOff: name => failures.inc({ name }),
  };
}

function controllerMetrics(registry: Registry): RuntimeMetrics['controller'] {
  const registers = [registry];
  const labelNames = ['controller'];
  const named = (name: string, help: string) => ({ name, help, labelNames, registers });
  const results = new Counter({
    ...named('controller_runtime_reconcile_total', 'Reconciles, by how they ended'),
    labelNames: ['controller', 'result'],
  });
  const errors = new Counter(named('controller_runtime_reconcile_errors_total', 'Reconciles that failed'));
  const panics = new Counter(named('controller_runtime_reconcile_panics_total', 'Reconciles that a mistake ended'));
  const timeouts = new Counter(named('controller_runtime_reconcile_timeouts_total', 'Reconciles that took too long'));
  const durations = new Histogram({
    ...named('controller_runtime_reconcile_time_seconds', 'Seconds that a reconcile took'),
    buckets: RECONCILE_BUCKETS_S,
  });
  const most = new Gauge(named('controller_runtime_max_concurrent_reconciles', 'How many may run at once'));
  const active = new Gauge(named('controller_runtime_active_workers', 'How many run'));
  const queues = queueMetrics(registry);

  return controller => {
    for (const result of ['success', 'requeue_after', 'error']) results.inc({ controller, result }, 0);
    for (const count of [errors, panics, timeouts]) count.inc({ controller }, 0);
    return {
      ...queues(controller),
      workers: count => most.set({ controller }, count),
      started: () => active.inc({ controller }),
      ended(outcome, durationMs) {
        active.dec({ controller });
        results.inc({ controller, result: outcome });
        if (outcome === 'error') errors.inc({ controller });
        durations.observe({ controller }, durationMs / 1_000);
      },
      panicked: () => panics.inc({ controller }),
      timedOut: () => timeouts.inc({ controller }),
    };
  };
}

function queueMetrics(registry: Registry): (name: string) => Pick<ControllerMetrics, 'queue' | 'watchQueue'> {
  const registers = [registry];
  const labelNames = ['name', 'controller'];
  const queues = new Map<string, Pick<WorkQueue, 'depth' | 'working'>>();
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Adds to the work queue', labelNames, registers });
  const retries = new Counter({
    name: 'workqueue_retries_total',
    help: 'Adds to the work queue with a delay',
    labelNames,
    registers,
  });
  const waits = new Histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'Seconds in the work queue',
    labelNames,
    buckets: QUEUE_BUCKETS_S,
    registers,
  });
  const works = new Histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'Seconds of work on what was in the work queue',
    labelNames,
    buckets: QUEUE_BUCKETS_S,
    registers,
  });
  new Gauge({
    name: 'workqueue_depth',
    help: 'Requests that wait for a worker',
    labelNames: [...labelNames, 'priority'],
    registers,
    collect() {
      for (const [name, queue] of queues) {
        for (const [priority, depth] of Object.entries(queue.depth())) {
          this.set({ name, controller: name, priority }, depth);
        }
      }
    },
  });
  new Gauge({
    name: 'workqueue_unfinished_work_seconds',
    help: 'Seconds of work that is not done yet, over all workers',
    labelNames,
    registers,
    collect() {
      for (const [name, queue] of queues) {
        const seconds = queue.working().reduce((sum, ms) => sum + ms / 1_000, 0);
        this.set({ name, controller: name }, seconds);
      }
    },
  });
  new Gauge({
    name: 'workqueue_longest_running_processor_seconds',
    help: 'Seconds for which the slowest worker has been at it',
    labelNames,
    registers,
    collect() {
      for (const [name, queue] of queues) {
        this.set({ name, controller: name }, Math.max(0, ...queue.working()) / 1_000);
      }
    },
  });
  return name => {
    const labels = { name, controller: name };
    return {
      watchQueue: queue => void queues.set(name, queue),
      queue: {
        added: () => adds.inc(labels),
        retried: () => retries.inc(labels),
        handedOut: waitedMs => waits.observe(labels, waitedMs / 1_000),
        done: workedMs => works.observe(labels, workedMs / 1_000),
      },
    };
  };
}
