import type { Pool } from '../database/pool.ts';
import { MantaError } from '../errors/manta-error.ts';
import type { Heartbeat, HeartbeatResult, StorageNodeReport, StorageNodes, StorageNodeView } from './types.ts';

/**
 * The registry of storage nodes in the control database. metadata.md §14.3. Nodes come into being by their first
 * heartbeat. A volume with another incarnation under a known id is answered `incarnation_mismatch` and shown as out of
 * service until an operator accepts it.
 */
export function createStorageNodes(deps: { readonly control: Pool }): StorageNodes {
  return {
    async heartbeat(heartbeat, options = {}) {
      const rows = await deps.control.query<{
        result: HeartbeatResult['kind'];
        node_no: number;
        writes: StorageNodeView['writes'];
        lifecycle: StorageNodeView['lifecycle'];
      }>('SELECT result, node_no, writes, lifecycle FROM heartbeat_v1($1)', [heartbeatJson(heartbeat)], {
        ...options,
        isRepeatable: true,
      });
      const row = rows[0];
      if (row === undefined) throw new MantaError('InternalError', 'a heartbeat had no result');
      if (row.result !== 'accepted') return { kind: row.result };
      return { kind: 'accepted', nodeNo: row.node_no, writes: row.writes, lifecycle: row.lifecycle };
    },

    async list(options = {}) {
      const rows = await deps.control.query<{ node: StorageNodeView }>('SELECT node FROM storage_nodes_v1()', [], {
        ...options,
        isRepeatable: true,
      });
      return rows.map(row => row.node);
    },

    async report(options = {}) {
      const rows = await deps.control.query<{ node: StorageNodeReport }>('SELECT node FROM storage_report_v1()', [], {
        ...options,
        isRepeatable: true,
      });
      return rows.map(row => row.node);
    },

    async set(storageId, change, options = {}) {
      const rows = await deps.control.query<{ known: boolean }>(
        'SELECT set_storage_node_v1($1, $2, $3, $4) AS known',
        [storageId, change.writes ?? null, change.lifecycle ?? null, change.acceptIncarnation ?? null],
        { ...options, isRepeatable: true },
      );
      return rows[0]?.known === true;
    },
  };
}

function heartbeatJson(heartbeat: Heartbeat): string {
  return JSON.stringify({
    storage_id: heartbeat.storageId,
    incarnation: heartbeat.incarnation,
    layout: heartbeat.layout,
    base_url: heartbeat.baseUrl,
    datacenter: heartbeat.datacenter,
    failure_domain: heartbeat.failureDomain,
    compute_id: heartbeat.computeId ?? null,
    total_bytes: heartbeat.totalBytes,
    avail_bytes: heartbeat.availBytes,
    inodes_free: heartbeat.inodesFree,
    writes_inflight: heartbeat.writesInflight,
    out_of_service: heartbeat.outOfService,
    version: heartbeat.version,
  });
}
