import { type Condition, findCondition, isConditionTrue, setConditions } from './condition.ts';

const at = Date.UTC(2026, 4, 1, 12, 0, 0, 250);
const ready = { type: 'Ready', status: 'True', reason: 'Fine', message: 'all is well', observedGeneration: 3 } as const;

describe('conditions', () => {
  it('begin with the time at which they were first said, in whole seconds', () => {
    expect(setConditions(undefined, [ready], at)).toEqual([{ ...ready, lastTransitionTime: '2026-05-01T12:00:00Z' }]);
  });

  it('are the same array when nothing is new', () => {
    const first = setConditions(undefined, [ready], at);
    expect(setConditions(first, [{ ...ready }], at + 60_000)).toBe(first);
  });

  it('keep their time when only reason, message or generation change', () => {
    const first = setConditions(undefined, [ready], at);
    const next = setConditions(first, [{ ...ready, message: 'still', observedGeneration: 4 }], at + 60_000);
    expect(next).toEqual([
      { ...ready, message: 'still', observedGeneration: 4, lastTransitionTime: '2026-05-01T12:00:00Z' },
    ]);
  });

  it('take a new time with a new status, and leave conditions of other types alone', () => {
    const other: Condition = { ...ready, type: 'Other', lastTransitionTime: '2020-01-01T00:00:00Z' };
    const next = setConditions(
      [other, ...setConditions(undefined, [ready], at)],
      [{ ...ready, status: 'False' }],
      at + 60_000,
    );
    expect(next.map(({ type, status, lastTransitionTime }) => [type, status, lastTransitionTime])).toEqual([
      ['Other', 'True', '2020-01-01T00:00:00Z'],
      ['Ready', 'False', '2026-05-01T12:01:00Z'],
    ]);
    expect([isConditionTrue(next, 'Ready'), isConditionTrue(next, 'Other')]).toEqual([false, true]);
    expect(findCondition(next, 'Missing')).toBeUndefined();
  });
});
