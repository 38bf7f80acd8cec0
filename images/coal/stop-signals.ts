import type { Clock } from '../../lib/lifecycle/clock.ts';

/** Signals that arrive within this time are one: npm hands a terminal's Ctrl-C on to its child, which got it already. */
const SAME_MS = 500;

/**
 * Turns signals into decisions: the first one stops gracefully, a second one ends at once. Returns what to call on every
 * signal. metadata.md §17.
 */
export function createStopSignals(
  deps: { clock: Clock },
  decisions: { readonly stop: () => void; readonly endAtOnce: () => void },
): () => void {
  let first: number | undefined;
  return () => {
    const now = deps.clock.monotonic();
    if (first === undefined) {
      first = now;
      decisions.stop();
    } else if (now - first >= SAME_MS) {
      decisions.endAtOnce();
    }
  };
}
