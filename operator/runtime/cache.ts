import type { Logger } from 'pino';
import type { Kubernetes, Selection } from '../../lib/kubernetes/kubernetes.ts';
import type { KubernetesObject } from '../../lib/kubernetes/object.ts';
import { apiVersionOf, type Resource } from '../../lib/kubernetes/resource.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { Task } from '../../lib/lifecycle/task.ts';
import { createInformer, type Informer } from './informer.ts';
import { createFieldPacker } from './managed-fields.ts';
import { REFLECTOR_DEFAULTS, type ReflectorConfig, type ReflectorMetrics, startReflector } from './reflector.ts';

export interface CacheDeps {
  readonly kubernetes: Pick<Kubernetes, 'list' | 'watch'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: ReflectorMetrics;
}

export interface CacheConfig {
  /** Whose entries of `metadata.managedFields` are kept; those of others are a third of most objects, and dropped. */
  readonly fieldManagers: readonly string[];
  readonly reflector?: Partial<Pick<ReflectorConfig<KubernetesObject>, 'pageSize' | 'backoff'>>;
}

/** Informers, one for each resource and selection however many ask for it. */
export interface Cache {
  /** Starts with the cache, or at once when that runs already. */
  informer<T extends KubernetesObject>(resource: Resource<T>, selection?: Selection): Informer<T>;
  start(): void;
  /** True when every informer has. */
  hasSynced(): boolean;
  /** The list-watch loops, for a person who asks what goes on. */
  tasks(): readonly Task[];
  /** Ends the watches; what is cached can still be read. */
  stop(): Promise<void>;
}

export function createCache(deps: CacheDeps, config: CacheConfig): Cache {
  const informers = new Map<string, Informer<never>>();
  const starters: (() => Task)[] = [];
  const tasks: Task[] = [];
  let isRunning = false;

  function create<T extends KubernetesObject>(resource: Resource<T>, selection: Selection): Informer<T> {
    const { informer, sink } = createInformer(deps, { resource, transform: createFieldPacker(config.fieldManagers) });
    const start = () => startReflector(deps, { ...REFLECTOR_DEFAULTS, ...config.reflector, resource, selection }, sink);
    if (isRunning) tasks.push(start());
    else starters.push(start);
    return informer;
  }

  return {
    informer<T extends KubernetesObject>(resource: Resource<T>, selection: Selection = {}) {
      const { namespace, labelSelector, fieldSelector } = selection;
      const key = JSON.stringify([apiVersionOf(resource), resource.plural, namespace, labelSelector, fieldSelector]);
      const known = informers.get(key) as Informer<T> | undefined;
      if (known !== undefined) return known;
      const created = create(resource, selection);
      informers.set(key, created as unknown as Informer<never>);
      return created;
    },
    start() {
      isRunning = true;
      for (const start of starters.splice(0)) tasks.push(start());
    },
    hasSynced: () => [...informers.values()].every(informer => informer.hasSynced()),
    tasks: () => tasks,
    async stop() {
      await Promise.all(tasks.map(task => task.stop()));
    },
  };
}
