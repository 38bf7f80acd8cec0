import { type Condition, type ConditionUpdate, isConditionTrue } from '../operator/runtime/condition.ts';

/** One thing that is so, in the word of a closed list and in a sentence for people. */
export interface Finding<Reason extends string = string> {
  readonly reason: Reason;
  /** What is missing, where to look, and the next command. */
  readonly message: string;
}

/**
 * A condition from what was found: the first finding is the reason, all of them are the message. Without any, `otherwise`
 * holds, with the opposite status. operations.md §3.2.3.
 */
export function conditionOf(
  type: string,
  status: { readonly found: ConditionUpdate['status']; readonly none: ConditionUpdate['status'] },
  findings: readonly Finding[],
  otherwise: Finding,
  observedGeneration: number | undefined,
): ConditionUpdate {
  const [first] = findings;
  const generation = observedGeneration === undefined ? {} : { observedGeneration };
  if (first === undefined) return { type, status: status.none, ...otherwise, ...generation };
  const message = findings.map(finding => finding.message).join('; ');
  return { type, status: status.found, reason: first.reason, message: message.slice(0, 4_096), ...generation };
}

/** A list for a sentence: the first few, and how many more there are. */
export function someOf(names: readonly string[], most = 5): string {
  const more = names.length - most;
  return more <= 0 ? names.join(', ') : `${names.slice(0, most).join(', ')} and ${more} more`;
}

/** Whether what was not ready now is: people and the steps that wait for it are told at once. */
export function turnsReady(before: readonly Condition[] | undefined, after: readonly ConditionUpdate[]): boolean {
  return !isConditionTrue(before, 'Ready') && after.some(({ type, status }) => type === 'Ready' && status === 'True');
}
