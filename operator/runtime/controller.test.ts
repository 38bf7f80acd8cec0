import { MantaError } from '../../lib/errors/manta-error.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { ApiError } from '../../lib/kubernetes/api-error.ts';
import { configMaps } from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { type Controller, type ControllerConfig, createController, watching } from './controller.ts';
import { createInformer } from './informer.ts';
import { toSelf } from './owner.ts';
import type { Request } from './request.ts';
import { aStored, silent, testMetrics } from './testing.ts';

const running: Controller[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map(controller => controller.stop(0)));
});

function aController(config: Pick<ControllerConfig, 'reconcile'> & Partial<ControllerConfig>) {
  const { informer, sink } = createInformer({ logger: silent }, { resource: configMaps });
  sink.listStarted();
  sink.listEnded('1');
  const { registry, metrics } = testMetrics();
  const controller = createController(
    { logger: silent, clock: systemClock, metrics },
    { name: 'test', watches: [watching(informer, toSelf)], backoff: { baseMs: 5, maxMs: 50 }, ...config },
  );
  running.push(controller);
  const count = async (name: string, labels: Record<string, string> = {}) => {
    const metric = registry.getSingleMetric(name);
    const { values } = (await metric?.get()) ?? { values: [] };
    const found = values.filter(value => Object.entries(labels).every(([k, v]) => value.labels[k] === v));
    return found.reduce((sum, { value }) => sum + value, 0);
  };
  return { controller, informer, sink, count };
}

const total = 'controller_runtime_reconcile_total';

describe('a controller', () => {
  it('reconciles what is there when it starts, and then what changes', async () => {
    const seen: string[] = [];
    const { controller, sink, count } = aController({
      reconcile: async ({ name }) => {
        seen.push(name);
        return undefined;
      },
    });
    sink.told('ADDED', aStored('a', 2));
    controller.start();
    await eventually(() => expect(seen).toEqual(['a']));
    sink.told('ADDED', aStored('b', 3));
    sink.told('DELETED', aStored('a', 4));
    await eventually(() => expect(seen).toEqual(['a', 'b', 'a']));
    expect(await count(total, { result: 'success' })).toBe(3);
    expect(await count('workqueue_adds_total')).toBe(3);
    expect(await count('workqueue_depth')).toBe(0);
  });

  it('looks at both states of an object that changed, and not at what its filter leaves out', async () => {
    const seen: string[] = [];
    const { informer, sink } = createInformer({ logger: silent }, { resource: configMaps });
    const { controller } = aController({
      reconcile: async ({ name }) => {
        seen.push(name);
        return undefined;
      },
      watches: [
        watching(
          informer,
          ({ metadata }) => [{ name: metadata.labels?.of ?? 'nobody' }],
          change => change.kind !== 'added',
        ),
      ],
    });
    controller.start();
    sink.told('ADDED', aStored('a', 2, { metadata: { labels: { of: 'x' } } }));
    sink.told('MODIFIED', aStored('a', 3, { metadata: { labels: { of: 'y' } } }));
    await eventually(() => expect(seen).toEqual(['x', 'y']));
  });

  it('never reconciles one object twice at once, and as many at once as it may', async () => {
    const active = new Set<string>();
    let most = 0;
    let done = 0;
    const { controller } = aController({
      maxConcurrentReconciles: 3,
      reconcile: async ({ name }) => {
        expect(active.has(name)).toBe(false);
        active.add(name);
        most = Math.max(most, active.size);
        await new Promise(resolve => setTimeout(resolve, 5));
        active.delete(name);
        done += 1;
        return undefined;
      },
    });
    controller.start();
    for (let round = 0; round < 4; round += 1) {
      for (const name of ['a', 'b', 'c', 'd', 'e']) controller.enqueue({ name });
      await new Promise(resolve => setTimeout(resolve, 1));
    }
    await eventually(() => expect([most, done >= 5, active.size]).toEqual([3, true, 0]));
  });

  it('comes back when a reconcile asks for it', async () => {
    let times = 0;
    const { controller, count } = aController({
      reconcile: async () => {
        times += 1;
        return times < 3 ? { requeueAfterMs: 5 } : {};
      },
    });
    controller.start();
    controller.enqueue({ name: 'a' });
    await eventually(() => expect(times).toBe(3));
    await eventually(async () => expect(await count(total, { result: 'success' })).toBe(1));
    expect(await count(total, { result: 'requeue_after' })).toBe(2);
  });

  it('survives whatever a reconcile throws, and tries again', async () => {
    const thrown: unknown[] = [
      new MantaError('Mine', 'it does not work'),
      new TypeError('undefined is not a function'),
      'a string',
      undefined,
      new ApiError('Conflict', 'newer', { status: 409 }),
    ];
    let times = 0;
    const { controller, count } = aController({
      reconcile: () => {
        const [next] = thrown.splice(0, 1);
        times += 1;
        if (times <= 5) throw next;
        return Promise.resolve(undefined);
      },
    });
    controller.start();
    controller.enqueue({ name: 'a' });
    await eventually(async () => expect(await count(total, { result: 'success' })).toBe(1));
    expect(await count('controller_runtime_reconcile_errors_total')).toBe(5);
    expect(await count('controller_runtime_reconcile_panics_total')).toBe(1);
    expect(await count('workqueue_retries_total')).toBe(5);
    expect(await count('controller_runtime_active_workers')).toBe(0);
  });

  it('waits as long as the server wishes before it tries again', async () => {
    const at: number[] = [];
    const { controller } = aController({
      reconcile: async () => {
        at.push(performance.now());
        if (at.length === 1) throw new ApiError('TooManyRequests', 'slowly', { status: 429, retryAfterS: 0.2 });
        return undefined;
      },
    });
    controller.start();
    controller.enqueue({ name: 'a' });
    await eventually(() => expect(at).toHaveLength(2));
    expect((at[1] as number) - (at[0] as number)).toBeGreaterThanOrEqual(199);
  });

  it('aborts a reconcile that takes too long', async () => {
    const { controller, count } = aController({
      reconcileTimeoutMs: 20,
      reconcile: (_request, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    });
    controller.start();
    controller.enqueue({ name: 'a' });
    await eventually(async () => expect(await count('controller_runtime_reconcile_timeouts_total')).toBeGreaterThan(0));
    expect(await count(total, { result: 'error' })).toBeGreaterThan(0);
  });

  it('lets a reconcile end when it stops, aborts it when that takes too long, and then does nothing more', async () => {
    const ended: string[] = [];
    const began: Request[] = [];
    const { controller } = aController({
      maxConcurrentReconciles: 2,
      reconcile: async (request, { signal }) => {
        began.push(request);
        if (request.name === 'quick') await new Promise(resolve => setTimeout(resolve, 20));
        else await new Promise(resolve => signal.addEventListener('abort', resolve));
        ended.push(`${request.name} ${signal.aborted}`);
        return { requeueAfterMs: 1 };
      },
    });
    controller.start();
    for (const name of ['quick', 'slow', 'never']) controller.enqueue({ name });
    await eventually(() => expect(began).toHaveLength(2));
    await controller.stop(100);
    expect(ended).toEqual(['quick false', 'slow true']);
    controller.enqueue({ name: 'late' });
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(began).toHaveLength(2);
  });
});
