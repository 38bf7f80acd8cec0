import { createThrottle } from './throttle.ts';

const never = new AbortController().signal;

test('without a limit everybody enters', async () => {
  const throttle = createThrottle({ concurrentRequests: 0, queuedRequests: 0 });
  await Promise.all(Array.from({ length: 100 }, () => throttle.enter(never)));
});

test('turns pass on in order of arrival, and a full queue refuses', async () => {
  const throttle = createThrottle({ concurrentRequests: 1, queuedRequests: 2 });
  const order: string[] = [];
  const leaveFirst = await throttle.enter(never);
  const second = throttle.enter(never).then(leave => {
    order.push('second');
    leave();
  });
  const third = throttle.enter(never).then(leave => {
    order.push('third');
    leave();
  });
  await expect(throttle.enter(never)).rejects.toMatchObject({ code: 'ThrottledError' });
  leaveFirst();
  await Promise.all([second, third]);
  expect(order).toEqual(['second', 'third']);
});

test('who gives up waiting makes room, and a turn given back twice counts once', async () => {
  const throttle = createThrottle({ concurrentRequests: 1, queuedRequests: 1 });
  const leave = await throttle.enter(never);
  const impatient = new AbortController();
  const waiting = throttle.enter(impatient.signal);
  impatient.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  leave();
  leave();
  await throttle.enter(never);
  const blocked = throttle.enter(never);
  await expect(throttle.enter(never)).rejects.toMatchObject({ code: 'ThrottledError' });
  expect(await Promise.race([blocked.then(() => 'entered'), Promise.resolve('waits')])).toBe('waits');
});
