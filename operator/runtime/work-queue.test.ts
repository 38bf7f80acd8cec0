import fc from 'fast-check';
import { createManualTime } from './testing.ts';
import { createWorkQueue, type WorkQueue } from './work-queue.ts';

const a = { namespace: 'ns', name: 'a' };
const b = { namespace: 'ns', name: 'b' };

function aQueue() {
  const time = createManualTime();
  const told: string[] = [];
  const metrics = {
    added: () => told.push('added'),
    retried: () => told.push('retried'),
    handedOut: (ms: number) => told.push(`waited ${ms}`),
    done: (ms: number) => told.push(`worked ${ms}`),
  };
  const queue = createWorkQueue({ ...time, metrics }, { backoff: { baseMs: 5, maxMs: 1_000 } });
  return { time, queue, told };
}

/** What the queue would hand out now, without waiting; done with at once. */
async function drain(queue: WorkQueue): Promise<string[]> {
  const names: string[] = [];
  while (queue.depth().high + queue.depth().low > 0) {
    const request = await queue.get();
    if (request === undefined) break;
    names.push(request.name);
    queue.done(request);
  }
  return names;
}

describe('a work queue', () => {
  it('hands out in the order of adding, however often a request is added', async () => {
    const { queue } = aQueue();
    for (const request of [a, b, a, a, b]) queue.add(request);
    expect(await drain(queue)).toEqual(['a', 'b']);
  });

  it('gives a request to the worker that waits', async () => {
    const { queue } = aQueue();
    const got = queue.get();
    queue.add(a);
    expect(await got).toEqual(a);
  });

  it('hands out a request that is worked on again only when that is done', async () => {
    const { queue } = aQueue();
    queue.add(a);
    await queue.get();
    queue.add(a);
    expect(queue.depth()).toEqual({ high: 0, low: 0 });
    queue.done(a);
    expect(await drain(queue)).toEqual(['a']);
  });

  it('hands out what is there at a start after what changes meanwhile', async () => {
    const { queue } = aQueue();
    queue.add(a, 'low');
    queue.add({ name: 'c' }, 'low');
    queue.add(b);
    queue.add({ name: 'c' });
    expect(await drain(queue)).toEqual(['b', 'c', 'a']);
  });

  it('adds later, at the earliest time that was asked for; adding it now makes that time void', async () => {
    const { queue, time } = aQueue();
    queue.addAfter(a, 100);
    queue.addAfter(a, 500);
    queue.addAfter(b, 50);
    time.pass(99);
    expect(await drain(queue)).toEqual(['b']);
    time.pass(1);
    expect(await drain(queue)).toEqual(['a']);
    queue.addAfter(a, 100);
    queue.add(a);
    expect(await drain(queue)).toEqual(['a']);
    time.pass(1_000);
    expect(await drain(queue)).toEqual([]);
  });

  it('waits longer with every failure, up to a bound, and starts anew when it was forgotten', async () => {
    const { queue, time } = aQueue();
    const waits: number[] = [];
    for (let failure = 0; failure < 10; failure += 1) {
      queue.addRateLimited(a);
      let waited = 0;
      while (queue.depth().high === 0) {
        time.pass(1);
        waited += 1;
      }
      waits.push(waited);
      await drain(queue);
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    queue.forget(a);
    queue.addRateLimited(a);
    time.pass(5);
    expect(await drain(queue)).toEqual(['a']);
  });

  it('waits as long as a server wishes, if that is longer', async () => {
    const { queue, time } = aQueue();
    queue.addRateLimited(a, 3_000);
    time.pass(2_999);
    expect(queue.depth().high).toBe(0);
    time.pass(1);
    expect(queue.depth().high).toBe(1);
  });

  it('ends those that wait when it is shut down, and takes nothing in', async () => {
    const { queue, time } = aQueue();
    queue.addAfter(b, 10);
    const got = queue.get();
    queue.shutDown();
    expect(await got).toBeUndefined();
    queue.add(a);
    time.pass(100);
    expect(await queue.get()).toBeUndefined();
  });

  it('tells how long requests waited and were worked on', async () => {
    const { queue, time, told } = aQueue();
    queue.add(a);
    time.pass(7);
    await queue.get();
    time.pass(3);
    expect(queue.working()).toEqual([3]);
    queue.done(a);
    queue.addAfter(a, 5);
    expect(told).toEqual(['added', 'waited 7', 'worked 3', 'retried']);
  });

  it('loses nothing and never works on a request twice at once, whatever the order', async () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ add: name, low: fc.boolean() }),
      fc.record({ later: name, ms: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ failed: name }),
      fc.record({ pass: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ take: fc.constant(true) }),
      fc.record({ done: name }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
        const { queue, time } = aQueue();
        const working = new Set<string>();
        const wanted = new Set<string>();
        const take = async () => {
          const request = await queue.get();
          if (request === undefined) return;
          expect(working.has(request.name)).toBe(false);
          working.add(request.name);
          wanted.delete(request.name);
        };
        const finish = (of: string) => working.delete(of) && queue.done({ name: of });
        for (const taken of steps) {
          if ('add' in taken) queue.add({ name: taken.add }, taken.low ? 'low' : 'high');
          else if ('later' in taken) queue.addAfter({ name: taken.later }, taken.ms);
          else if ('failed' in taken) queue.addRateLimited({ name: taken.failed });
          else if ('pass' in taken) time.pass(taken.pass);
          else if ('done' in taken) finish(taken.done);
          else if (queue.depth().high + queue.depth().low > 0) await take();
          for (const key of ['add', 'later', 'failed'] as const) {
            if (key in taken) wanted.add((taken as Record<string, string>)[key] as string);
          }
        }
        time.pass(10_000);
        for (let rounds = 0; rounds < 10; rounds += 1) {
          for (const of of [...working]) finish(of);
          while (queue.depth().high + queue.depth().low > 0) await take();
        }
        expect([...wanted]).toEqual([]);
      }),
    );
  });
});
