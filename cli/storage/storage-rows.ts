import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Condition, StorageNode } from '../../lib/resources/types.ts';
import type { Table } from '../table.ts';

/** A storage node as `storage list` lists it. */
export interface StorageRow {
  readonly id: string;
  readonly storageId: string | undefined;
  readonly zone: string;
  readonly node: string | undefined;
  readonly mode: string;
  /** Percent. */
  readonly used: number | undefined;
  readonly isWritable: boolean | undefined;
  readonly isReady: boolean | undefined;
  /** The first word of what is wrong; of one that is fine `Serving`. */
  readonly reason: string | undefined;
  /** Why the mode is what it is. */
  readonly modeReason: string | undefined;
}

/** Columns of `storage list`: operations.md §6. */
export const storageTable: Table<StorageRow> = {
  columns: [
    { name: 'id', value: row => row.id },
    { name: 'storage_id', value: row => row.storageId },
    { name: 'zone', value: row => row.zone },
    { name: 'node', value: row => row.node },
    { name: 'mode', value: row => row.mode },
    { name: 'used', header: 'USED%', value: row => row.used },
    { name: 'writable', value: row => row.isWritable },
    { name: 'ready', value: row => row.isReady },
    { name: 'reason', value: row => row.reason },
    { name: 'mode_reason', value: row => row.modeReason },
  ],
  shown: ['id', 'zone', 'node', 'mode', 'used', 'writable', 'ready', 'reason'],
};

/** In the order given. Pure. */
export function storageRows(nodes: readonly Stored<StorageNode>[]): readonly StorageRow[] {
  return nodes.map(({ metadata, spec, status }) => {
    const find = (type: string) => status?.conditions?.find(condition => condition.type === type);
    const [ready, writable] = [find('Ready'), find('Writable')];
    return {
      id: metadata.name,
      storageId: status?.storageId,
      zone: spec.zone,
      node: status?.nodeName ?? spec.nodeName,
      mode: spec.mode,
      used: status?.capacity?.percentUsed,
      isWritable: truthOf(writable),
      isReady: truthOf(ready),
      reason: ready?.status === 'True' && writable?.status === 'False' ? writable.reason : ready?.reason,
      modeReason: spec.reason,
    };
  });
}

function truthOf(condition: Condition | undefined): boolean | undefined {
  return condition === undefined || condition.status === 'Unknown' ? undefined : condition.status === 'True';
}
