import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Node, Pod } from '../../lib/kubernetes/resources.ts';
import { nodeLabels, partLabels, type RegionDomain, storageIdOf } from '../../lib/resources/names.ts';
import { amountOf } from '../../lib/resources/quantity.ts';
import type { StorageNode } from '../../lib/resources/types.ts';
import type { Table } from '../table.ts';

/** A Node as `cn` lists it. */
export interface NodeRow {
  /** The zone. */
  readonly dc: string | undefined;
  readonly host: string;
  /** Of the machine's firmware. */
  readonly serverUuid: string | undefined;
  readonly adminIp: string | undefined;
  readonly ramMiB: number | undefined;
  /** The label manta.io/node-role; without it what runs there. */
  readonly kind: 'storage' | 'service' | 'other';
  /** The Node's name where objects are. */
  readonly computeId: string | undefined;
  readonly storageIds: readonly string[];
}

/** Columns of `cn`: operations.md §6. */
export const nodeTable: Table<NodeRow> = {
  columns: [
    { name: 'dc', value: row => row.dc },
    { name: 'host', value: row => row.host },
    { name: 'server_uuid', value: row => row.serverUuid },
    { name: 'admin_ip', header: 'ADMIN-IP', value: row => row.adminIp },
    { name: 'ram', value: row => row.ramMiB },
    { name: 'kind', value: row => row.kind },
    { name: 'compute_id', value: row => row.computeId },
    { name: 'storage_ids', value: row => row.storageIds },
  ],
  shown: ['dc', 'host', 'admin_ip', 'kind'],
};

/** The Nodes with what is on them, in the order given. Pure. */
export function nodeRows(seen: {
  readonly nodes: readonly Stored<Node>[];
  readonly pods: readonly Stored<Pod>[];
  readonly storageNodes: readonly Stored<StorageNode>[];
  readonly region: RegionDomain;
}): readonly NodeRow[] {
  return seen.nodes.map(({ metadata: { name, labels }, status }) => {
    const storageIds = seen.storageNodes
      .filter(node => nodeNameOf(node, seen.pods) === name)
      .map(({ metadata }) => storageIdOf(metadata.name, seen.region));
    const isUsed = seen.pods.some(({ spec }) => spec?.nodeName === name);
    const role = labels?.[nodeLabels.role];
    const memory = status?.capacity?.memory;
    return {
      dc: labels?.[nodeLabels.zone],
      host: name,
      serverUuid: status?.nodeInfo?.systemUUID,
      adminIp: status?.addresses?.find(({ type }) => type === 'InternalIP')?.address,
      ramMiB: memory === undefined ? undefined : Math.floor(amountOf(memory) / 2 ** 20),
      kind:
        role === 'storage' || role === 'service'
          ? role
          : storageIds.length > 0
            ? 'storage'
            : isUsed
              ? 'service'
              : 'other',
      computeId: storageIds.length > 0 ? name : undefined,
      storageIds,
    };
  });
}

/** Rows whose host, uuid, address or storage id has `part` in it. Pure. */
export function filterNodes(rows: readonly NodeRow[], part: string): readonly NodeRow[] {
  return rows.filter(({ host, serverUuid, adminIp, storageIds }) =>
    [host, serverUuid, adminIp, ...storageIds].some(text => text?.includes(part)),
  );
}

/** Where the pod is; while there is none, where its volume holds it. */
function nodeNameOf({ metadata, status, spec }: Stored<StorageNode>, pods: readonly Stored<Pod>[]): string | undefined {
  const pod = pods.find(({ metadata: { labels } }) => labels?.[partLabels.storageNode] === metadata.name);
  return pod?.spec?.nodeName ?? status?.nodeName ?? spec.nodeName;
}
