import type { WriteOperation } from './operation.ts';

/** How clients felt an event. Milliseconds. */
export interface Gap {
  /**
   * The longest time without an acknowledgement that touches the window, from one acknowledgement to the next. Replies
   * already on their way when the fault struck therefore do not make it look short. Infinity: none came after it.
   */
  readonly gapMs: number;
  /** When it began. */
  readonly since: number;
  /** The longest that one acknowledged write took, of those under way in the window. */
  readonly slowestMs: number;
  /** Writes that failed, or whose outcome stayed unknown, of those under way in the window. */
  readonly failed: number;
  readonly unknown: number;
}

/** Measures the writes around an event at `from`, up to `until`. Both are times of the journal's clock. */
export function gapBetween(writes: readonly WriteOperation[], from: number, until: number): Gap {
  const under = writes.slice(firstAfter(writes, from));
  let last = lastAcknowledgedBefore(writes, from);
  let gapMs = 0;
  let since = last;
  let hasEnd = false;
  for (const { outcome, complete } of under) {
    if (outcome !== 'ok') continue;
    if (complete - last > gapMs) {
      gapMs = complete - last;
      since = last;
    }
    last = complete;
    hasEnd = complete >= until;
    if (hasEnd) break;
  }
  const within = under.filter(({ invoke }) => invoke <= until);
  const acknowledged = within.filter(({ outcome }) => outcome === 'ok');
  return {
    gapMs: acknowledged.length === 0 && !hasEnd ? Number.POSITIVE_INFINITY : gapMs,
    since,
    slowestMs: acknowledged.reduce((most, { invoke, complete }) => Math.max(most, complete - invoke), 0),
    failed: within.filter(({ outcome }) => outcome === 'fail').length,
    unknown: within.filter(({ outcome }) => outcome === 'unknown').length,
  };
}

/** The value below which `share` (0 to 1) of the values lie, by the nearest rank. NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Writes lie in the order of their completion. */
function firstAfter(writes: readonly WriteOperation[], at: number): number {
  let low = 0;
  let high = writes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((writes[middle]?.complete ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

function lastAcknowledgedBefore(writes: readonly WriteOperation[], at: number): number {
  for (let index = firstAfter(writes, at) - 1; index >= 0; index -= 1) {
    const write = writes[index];
    if (write?.outcome === 'ok') return write.complete;
  }
  return at;
}
