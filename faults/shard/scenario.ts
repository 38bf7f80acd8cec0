import type { Durability } from './load-client.ts';
import type { Loader } from './loader.ts';
import type { Rig } from './rig.ts';

/** The goals of replication.md §1.3, milliseconds. */
export const goals = {
  T1: { p50Ms: 400, p99Ms: 1_000 },
  T2: { p50Ms: 600, p99Ms: 1_500 },
  T3: { p50Ms: 3_000, p99Ms: 3_000 },
  T4: { p50Ms: 300, p99Ms: 300 },
  /** The fault costs clients nothing beyond what a busy machine costs them anyway. */
  none: { p50Ms: 100, p99Ms: 500 },
} as const;
export type Goal = keyof typeof goals;

/** What one round of a scenario works with. */
export interface Round {
  readonly rig: Rig;
  readonly loader: Loader;
  /** From 0. */
  readonly number: number;
  /** Something that had to hold did not. */
  problem(sentence: string): void;
  /**
   * Ends the time in which the gap is measured; without, it ends when, after the round and after the new generations it
   * has to bring, a write was acknowledged that began then.
   */
  measured(): void;
}

/** A row, or part of one, of the table of replication.md §16.4. */
export interface Scenario {
  /** `F1`. */
  readonly row: string;
  /** What happens, in a few words; unique. */
  readonly name: string;
  readonly goal?: Goal;
  /** No write may fail or stay unknown. */
  readonly noFailures?: boolean;
  /** New generations of one round: exactly these, or from to. */
  readonly generations?: number | readonly [least: number, most: number];
  /** Rounds when nobody says how many. */
  readonly times: number;
  /** Seconds that a round takes, roughly: for what fits into a limit of time. */
  readonly seconds: number;
  /** Takes so long that it is run when words of its name ask for it, not by its row. */
  readonly byName?: true;
  /** Links that can be cut: root and namespaces. */
  readonly needsNetwork?: boolean;
  /** Data and WAL on file systems of their own, whose size can be changed: root only. */
  readonly needsVolumes?: boolean;
  /** One protection is off on purpose: the checker has to find acknowledged writes missing, or it is too weak. */
  readonly mustLose?: { readonly durability: Durability };
  /** Why it cannot be run here; undefined: it can. */
  readonly unavailable?: (rig: Rig) => Promise<string | undefined>;
  /** The fault and its healing. Before it the shard is healthy, after it the runner waits until it is again. */
  round(round: Round): Promise<void>;
}
