import type { Action } from './action.ts';

/** The phases of a takeover in order (replication.md §14.1). */
export const takeoverPhases = ['detect', 'cut', 'drain', 'cas', 'promote', 'attach', 'open'] as const;
export type TakeoverPhase = (typeof takeoverPhases)[number];

interface Span {
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface TakeoverPhases {
  /** Told of every action that ended well. `heardAt`: when the primary was last heard. */
  acted(kind: Action['kind'], span: Span, heardAt: number | undefined): void;
}

/** Finds the phases of a takeover in the actions it is made of. `measured` gets each with milliseconds, once. */
export function createTakeoverPhases(measured: (phase: TakeoverPhase, ms: number) => void): TakeoverPhases {
  let cut: Span | undefined;
  let takeOver: Span | undefined;
  let promoted: Span | undefined;

  return {
    acted(kind, span, heardAt) {
      const tookMs = span.endedAt - span.startedAt;
      switch (kind) {
        case 'cut-receiver':
          if (heardAt !== undefined) measured('detect', span.startedAt - heardAt);
          measured('cut', tookMs);
          cut = span;
          break;
        case 'restore-receiver':
          cut = undefined;
          takeOver = undefined;
          break;
        case 'take-over':
          // Tried again and again while WAL is being replayed: the last one is the one that did it.
          takeOver = span;
          break;
        case 'promote':
          if (cut !== undefined && takeOver !== undefined) {
            measured('drain', takeOver.startedAt - cut.endedAt);
            measured('cas', takeOver.endedAt - takeOver.startedAt);
          }
          measured('promote', tookMs);
          cut = undefined;
          takeOver = undefined;
          promoted = span;
          break;
        case 'open':
          if (promoted !== undefined) {
            measured('attach', span.startedAt - promoted.endedAt);
            measured('open', tookMs);
          }
          promoted = undefined;
          break;
      }
    },
  };
}
