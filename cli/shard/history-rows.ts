import type { ShardStatusHistory } from '../../lib/resources/types.ts';
import type { Table } from '../table.ts';

/** A change of a shard's state as `shard history` lists it. */
export interface HistoryRow extends ShardStatusHistory {
  /** The rule that the step to this state breaks; undefined for a step that is allowed. */
  readonly forbidden: string | undefined;
}

/** Columns of `shard history`, as far as a Shard's status knows them: operations.md §6. */
export const historyTable: Table<HistoryRow> = {
  columns: [
    { name: 'time', value: row => row.at },
    { name: 'seq', value: row => row.seq },
    { name: 'generation', header: 'GEN', value: row => row.generation },
    { name: 'primary', value: row => row.to },
    { name: 'from', value: row => row.from },
    { name: 'cause', value: row => row.cause },
    { name: 'gap_ms', header: 'GAP', value: row => row.writeGapMs },
    { name: 'forbidden', value: row => row.forbidden },
  ],
  shown: ['time', 'generation', 'primary', 'cause', 'gap_ms', 'forbidden'],
};

const FORCED: ReadonlySet<string> = new Set(['force-takeover', 'state-repair']);

/** The changes, oldest first, each checked against the one before: V4 and V5 of replication.md §5.1. Pure. */
export function historyRows(history: readonly ShardStatusHistory[]): readonly HistoryRow[] {
  const inOrder = [...history].sort((a, b) => a.seq - b.seq);
  return inOrder.map((entry, at) => ({ ...entry, forbidden: forbidden(inOrder[at - 1], entry) }));
}

function forbidden(before: ShardStatusHistory | undefined, after: ShardStatusHistory): string | undefined {
  if (before === undefined) return undefined;
  if (FORCED.has(after.cause))
    return after.generation > before.generation ? undefined : 'V4: a forced state raises generation';
  if (after.seq !== before.seq + 1) return 'V4: seq grows by one';
  if (after.generation !== before.generation && after.generation !== before.generation + 1)
    return 'V4: generation stays or grows by one';
  if (after.generation === before.generation && after.to !== before.to) return 'V5: a new pair is a new generation';
  return undefined;
}
