/** `metav1.Condition`. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, from a closed list. */
  readonly reason: string;
  /** For people: what is missing, where to look, the next command (operations.md §3.1). */
  readonly message: string;
  /** The generation of the spec that this is said of. */
  readonly observedGeneration?: number;
  /** RFC 3339; when `status` changed last. */
  readonly lastTransitionTime: string;
}

/** What a reconcile says; the time of the transition follows. */
export type ConditionUpdate = Omit<Condition, 'lastTransitionTime'>;

/**
 * The conditions with `updates` in place, by type. `lastTransitionTime` moves only with `status`; when nothing changes
 * at all it returns `conditions` themselves.
 */
export function setConditions(
  conditions: readonly Condition[] | undefined,
  updates: readonly ConditionUpdate[],
  now: number,
): readonly Condition[] {
  const known = conditions ?? [];
  const next = [...known];
  for (const update of updates) {
    const at = next.findIndex(({ type }) => type === update.type);
    const before = next[at];
    if (before === undefined) next.push({ ...update, lastTransitionTime: wireTime(now) });
    else if (!isSaid(before, update)) {
      const lastTransitionTime = before.status === update.status ? before.lastTransitionTime : wireTime(now);
      next[at] = { ...update, lastTransitionTime };
    }
  }
  const isSame = next.length === known.length && next.every((condition, at) => condition === known[at]);
  return conditions !== undefined && isSame ? conditions : next;
}

/** The condition of a type, if anything has been said of it. */
export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find(condition => condition.type === type);
}

/** True when the condition of that type has status True. */
export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

function isSaid(before: Condition, update: ConditionUpdate): boolean {
  return (
    before.status === update.status &&
    before.reason === update.reason &&
    before.message === update.message &&
    before.observedGeneration === update.observedGeneration
  );
}

/** `metav1.Time` has whole seconds. */
function wireTime(now: number): string {
  return new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
}
