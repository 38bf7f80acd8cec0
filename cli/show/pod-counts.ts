import type { Table } from '../table.ts';
import type { PodRow } from './pod-rows.ts';

/** Pods of one program, shard and version. */
export interface PodCount {
  readonly program: string;
  readonly shard: number | undefined;
  readonly version: string | undefined;
  readonly ready: number;
  readonly count: number;
}

/** Columns of `show -s`: operations.md §6. */
export const countTable: Table<PodCount> = {
  columns: [
    { name: 'program', value: row => row.program },
    { name: 'shard', header: 'SH', value: row => row.shard },
    { name: 'version', value: row => row.version },
    { name: 'ready', value: row => row.ready },
    { name: 'count', value: row => row.count },
  ],
  shown: ['program', 'shard', 'version', 'ready', 'count'],
};

/** Counts rows that are in order, and keeps their order. Pure. */
export function countPods(rows: readonly PodRow[]): readonly PodCount[] {
  const groups = Map.groupBy(rows, row => JSON.stringify([row.program, row.shard, row.version]));
  return [...groups.values()].flatMap(group => {
    const [first] = group;
    if (first === undefined) return [];
    const { program, shard, version } = first;
    return { program, shard, version, ready: group.filter(({ isReady }) => isReady).length, count: group.length };
  });
}
