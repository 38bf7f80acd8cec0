import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import { aSnapshot, type Difference } from './a-snapshot.ts';

/** A sentence, the snapshot it is about, and what the rule makes of it: some fields of an action, or nothing at all. */
export type Case = readonly [sentence: string, difference: Difference, expected: Expected];

/** Only the fields that matter; `why` as a part of the sentence. */
export type Expected =
  | undefined
  | (Partial<Record<string, unknown>> & { readonly kind: Action['kind']; readonly why?: RegExp | string });

/** One test a case: the rule alone, on a snapshot of a healthy shard but for the difference. */
export function checkRule(rule: Rule, cases: readonly Case[]): void {
  it.each(cases)('%s', (_, difference, expected) => {
    const action = rule.decide(aSnapshot(difference));
    if (expected === undefined) {
      expect(action).toBeUndefined();
      return;
    }
    const { why, ...fields } = expected;
    expect(action).toMatchObject(fields);
    if (why !== undefined) expect(action).toMatchObject({ why: expect.stringMatching(why) });
  });
}
