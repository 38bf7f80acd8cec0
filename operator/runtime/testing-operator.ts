import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import type { KubernetesLocation } from '../../lib/kubernetes/location.ts';
import { keyOf } from '../../lib/kubernetes/object.ts';
import { configMaps } from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createApplier } from './applier.ts';
import { setConditions } from './condition.ts';
import { watching } from './controller.ts';
import { addFinalizer, isBeingDeleted, removeFinalizer } from './finalizer.ts';
import { createManager, type Manager } from './manager.ts';
import { createRuntimeMetrics } from './metrics.ts';
import { controllerReference, toController, toSelf } from './owner.ts';
import type { Request, Result } from './request.ts';
import { createStatusWriter } from './status-writer.ts';
import { things } from './testing-things.ts';

export interface TestOperatorConfig {
  readonly location: KubernetesLocation;
  readonly namespace: string;
  readonly identity: string;
  /** Election times; without: no election. */
  readonly election?: { readonly leaseMs: number; readonly renewDeadlineMs: number; readonly retryMs: number };
  readonly statusIntervalMs?: number;
  readonly maxConcurrentReconciles?: number;
}

export interface TestOperator {
  readonly manager: Manager;
  readonly registry: Registry;
}

const FINALIZER = 'example.org/thing';

/** A whole operator: every Thing gets a ConfigMap of its size and who made it, a finalizer, and a status. */
export async function createTestOperator(
  deps: { readonly logger: Logger; readonly exit: () => void; readonly onReconcile?: (request: Request) => void },
  config: TestOperatorConfig,
): Promise<TestOperator> {
  const { namespace, identity, election } = config;
  const registry = new Registry();
  const metrics = createRuntimeMetrics(registry);
  const { location } = config;
  const client = await connectKubernetes({ clock: systemClock, observe: metrics.observeExchange }, { location });
  const manager = createManager(
    {
      kubernetes: client,
      clock: systemClock,
      random: Math.random,
      logger: deps.logger,
      registry,
      metrics,
      exit: deps.exit,
    },
    {
      control: { host: '127.0.0.1', port: 0 },
      fieldManagers: ['test-operator'],
      drainMs: 2_000,
      ...(election === undefined
        ? {}
        : { leaderElection: { ...election, namespace, name: 'test-operator', identity } }),
    },
  );
  const { kubernetes, cache } = manager;
  const applier = createApplier({ kubernetes }, { fieldManager: 'test-operator' });
  const minIntervalMs = config.statusIntervalMs ?? 100;
  const status = createStatusWriter({ applier, clock: systemClock }, { minIntervalMs });
  const [parents, children] = [cache.informer(things, { namespace }), cache.informer(configMaps, { namespace })];

  async function reconcile(request: Request, { signal }: { signal: AbortSignal }): Promise<Result | undefined> {
    deps.onReconcile?.(request);
    const found = parents.get(request);
    if (found === undefined) return undefined;
    const key = keyOf(found);
    if (isBeingDeleted(found)) {
      await kubernetes.delete(configMaps, key, { signal });
      await removeFinalizer(kubernetes, things, found, FINALIZER, { signal });
      return undefined;
    }
    const thing = await addFinalizer(kubernetes, things, found, FINALIZER, { signal });
    parents.observe(thing);
    const { size } = thing.spec;
    const intent = {
      metadata: { ...key, name: key.name, ownerReferences: [controllerReference(things, thing)] },
      data: { size: String(size), by: identity },
    };
    await applier.apply(children, intent, { signal });
    const said = ['Ready', 'Sized', 'Owned'].map(type => ({
      type,
      status: 'True' as const,
      reason: 'AsWanted',
      message: `the thing has its size, ${size}`,
      observedGeneration: thing.metadata.generation ?? 0,
    }));
    const conditions = setConditions(thing.status?.conditions, said, systemClock.now());
    return status.write(parents, thing, { size, by: identity, conditions }, { signal });
  }

  manager.add({
    name: 'thing',
    watches: [watching(parents, toSelf), watching(children, toController(things))],
    reconcile,
    maxConcurrentReconciles: config.maxConcurrentReconciles ?? 2,
  });
  return { manager, registry };
}
