import { createEventBudget } from './event-budget.ts';
import { createManualTime } from './testing.ts';

describe('the budget of events about one object', () => {
  it('allows a burst, then one every five minutes, and knows objects apart', () => {
    const { clock, pass } = createManualTime();
    const budget = createEventBudget(clock);
    const burst = Array.from({ length: 30 }, () => budget.spend('a'));
    expect(burst.filter(Boolean)).toHaveLength(25);
    expect(budget.spend('b')).toBe(true);
    pass(300_000);
    expect([budget.spend('a'), budget.spend('a')]).toEqual([true, false]);
  });
});
