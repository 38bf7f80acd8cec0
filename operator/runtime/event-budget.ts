import type { Clock } from '../../lib/lifecycle/clock.ts';

/** How many different events may be told about one object. */
export interface EventBudget {
  /** False when the object has used up its own. */
  spend(uid: string): boolean;
}

/** client-go's numbers: a burst, and one more every five minutes. */
const BURST = 25;
const REFILL_MS = 300_000;

/** Keeps books only on objects that have not got all of their budget back. */
export function createEventBudget(clock: Pick<Clock, 'monotonic'>): EventBudget {
  /** When the object's budget will be whole again, by uid; the one that was spent from the longest ago first. */
  const wholeAt = new Map<string, number>();
  return {
    spend(uid) {
      const now = clock.monotonic();
      for (const [other, at] of wholeAt) {
        if (at > now) break;
        wholeAt.delete(other);
      }
      const at = Math.max(now, wholeAt.get(uid) ?? now) + REFILL_MS;
      if (at > now + BURST * REFILL_MS) return false;
      wholeAt.delete(uid);
      wholeAt.set(uid, at);
      return true;
    },
  };
}
