import { percentile } from '../../faults/shard/gap.ts';

/** One repetition of one fault, as it goes into the file of raw records. */
export interface Sample {
  readonly system: string;
  readonly fault: string;
  readonly repetition: number;
  /** Milliseconds without an acknowledged write; null: none came back before the run gave up. */
  readonly gapMs: number | null;
  /** The slowest write that was acknowledged, milliseconds. */
  readonly slowestMs: number;
  readonly failed: number;
  readonly unknown: number;
  /** When it struck, by the clock of the journal of writes and reads. */
  readonly atMs: number;
  /** Until a request was granted, the victim was dead, or the outage was over. */
  readonly injectMs: number;
  /** Why the system did not do what it was asked to; such a repetition counts for nothing but the number of refusals. */
  readonly refused: string | undefined;
  readonly primaryBefore: string;
  readonly primaryAfter: string;
  /** Processes that wanted to run, on average of the last minute: more than the machine has processors blurs the times. */
  readonly machineLoad: number;
}

/** All repetitions of one fault at one system, and what the checker said of the rows they left. */
export interface Row {
  readonly system: string;
  readonly fault: string;
  readonly samples: readonly Sample[];
  /** Acknowledged writes that are gone; undefined: the system did not come to a state that could be checked. */
  readonly lost: number | undefined;
  readonly verdict: string;
  /** What the checker found, or why it had nothing to check. */
  readonly violations: readonly string[];
}

const HEADINGS = ['system', 'fault', 'n', 'p50', 'p95', 'p99', 'max', 'moved', 'failed', 'unknown', 'lost', 'checker'];

/** A line a row, columns aligned; times in seconds. With few repetitions p95 and p99 are the maximum. */
export function renderTable(rows: readonly Row[]): string {
  const cells = [HEADINGS, ...rows.map(toCells)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)));
  const isText = (column: number) => column < 2 || column === HEADINGS.length - 1;
  return cells
    .map(row =>
      row.map((cell, column) =>
        isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      ),
    )
    .map(row => row.join('  ').trimEnd())
    .join('\n');
}

function toCells({ system, fault, samples: all, lost, verdict }: Row): string[] {
  const samples = all.filter(({ refused }) => refused === undefined);
  const refusals = all.length - samples.length;
  const gaps = samples.map(({ gapMs }) => gapMs ?? Number.POSITIVE_INFINITY);
  const sum = (of: (sample: Sample) => number) => String(samples.reduce((total, sample) => total + of(sample), 0));
  return [
    system,
    fault,
    String(samples.length),
    ...[0.5, 0.95, 0.99, 1].map(share => seconds(percentile(gaps, share))),
    // Of the repetitions: at a fault of the standby each one is a false takeover.
    sum(({ primaryBefore, primaryAfter }) => Number(primaryBefore !== primaryAfter)),
    sum(({ failed }) => failed),
    sum(({ unknown }) => unknown),
    lost === undefined ? '?' : String(lost),
    refusals === 0 ? verdict : `${verdict}; ${refusals} refused`,
  ];
}

function seconds(ms: number): string {
  if (Number.isNaN(ms)) return '-';
  return Number.isFinite(ms) ? (ms / 1000).toFixed(ms < 10_000 ? 3 : 1) : 'never';
}
