import fc from 'fast-check';
import { createDelays } from './delays.ts';

describe('delays', () => {
  it('hand out what is due, the earliest first, each key once at its earliest time', () => {
    const step = fc.oneof(
      fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), at: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ deleted: fc.constantFrom('a', 'b', 'c', 'd') }),
      fc.record({ now: fc.integer({ min: 0, max: 60 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), steps => {
        const delays = createDelays();
        const model = new Map<string, number>();
        for (const taken of steps) {
          if ('deleted' in taken) {
            delays.delete(taken.deleted);
            model.delete(taken.deleted);
          } else if ('key' in taken) {
            delays.set(taken.key, taken.at);
            model.set(taken.key, Math.min(taken.at, model.get(taken.key) ?? taken.at));
          } else {
            const earliest = Math.min(...model.values());
            const key = delays.takeDue(taken.now);
            if (key === undefined) expect(earliest > taken.now).toBe(true);
            else {
              expect(model.get(key)).toBe(earliest);
              model.delete(key);
            }
          }
          expect(delays.size()).toBe(model.size);
          expect(delays.next()).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
        }
      }),
    );
  });
});
