import { createGate } from './gate.ts';

const roomy = { width: 1, maxWaiting: 10, maxWaitMs: 60_000 };

describe('a gate', () => {
  it('lets waiters in one after another, in the order they came', async () => {
    const gate = createGate({ ...roomy, width: 2 });
    const order: number[] = [];
    let inside = 0;
    await Promise.all(
      [0, 1, 2, 3, 4, 5].map(async n => {
        const leave = await gate.enter();
        inside += 1;
        expect(inside).toBeLessThanOrEqual(2);
        order.push(n);
        await Promise.resolve();
        inside -= 1;
        leave();
      }),
    );
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
    expect([gate.inside, gate.waiting]).toEqual([0, 0]);
  });

  it('refuses when too many wait, and after too long a wait', async () => {
    const gate = createGate({ width: 1, maxWaiting: 1, maxWaitMs: 10 });
    const leave = await gate.enter();
    const waiting = gate.enter();
    await expect(gate.enter()).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(waiting).rejects.toMatchObject({ kind: 'unavailable' });
    leave();
    (await gate.enter())();
  });

  it('forgets a waiter that gave up', async () => {
    const gate = createGate(roomy);
    const leave = await gate.enter();
    const controller = new AbortController();
    const waiting = gate.enter(controller.signal);
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    leave();
    leave();
    expect(gate.inside).toBe(0);
    await expect(gate.enter(AbortSignal.abort(new Error('never came')))).rejects.toThrow('never came');
  });
});
