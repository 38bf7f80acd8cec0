import type { Logger } from 'pino';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { startTask } from '../../../lib/lifecycle/task.ts';
import type { StorageNodes, StorageNodeView } from '../../../lib/metadata/types.ts';
import type { TransferConfig } from './config.ts';
import type { Candidate } from './placement.ts';

/** What this process knows of the storage nodes: the registry's last answer and its own experience since. */
export interface NodeView {
  /** Nodes fit for new objects of this caller. */
  candidates(operator: boolean): Candidate[];
  /** The node of that number; asks the registry when it is not known yet. */
  find(nodeNo: number, signal: AbortSignal): Promise<StorageNodeView | undefined>;
  /** Counts bytes as used until the node's next report includes them. */
  reserve(nodeNo: number, bytes: number): void;
  /** Puts the node last until the next refresh. */
  demote(nodeNo: number): void;
  /** Looks at the registry now, unless the view is younger than `maxAgeMs`. Never rejects. */
  refresh(maxAgeMs: number): Promise<void>;
  close(): Promise<void>;
}

export function createNodeView(
  deps: { readonly storageNodes: Pick<StorageNodes, 'list'>; readonly clock: Clock; readonly logger: Logger },
  config: TransferConfig,
): NodeView {
  let nodes = new Map<number, StorageNodeView>();
  let readAt = Number.NEGATIVE_INFINITY;
  let demoted = new Set<number>();
  let reserved = new Map<number, number>();

  const task = startTask(
    'storage-node-view',
    config.refreshMs,
    async () => {
      const list = await deps.storageNodes.list({ deadlineMs: config.refreshMs });
      nodes = new Map(list.map(node => [node.nodeNo, node]));
      readAt = deps.clock.monotonic();
      demoted = new Set();
      reserved = new Map();
    },
    deps,
  );

  function isFit(node: StorageNodeView, limitPct: number): boolean {
    const usedPct = node.totalBytes > 0 ? (1 - node.availBytes / node.totalBytes) * 100 : 100;
    return (
      node.lifecycle === 'active' &&
      node.writes === 'enabled' &&
      !node.outOfService &&
      // As it was when the registry was read: while that is out of reach, `viewMaxAgeMs` is the bound.
      node.heartbeatAgeMs <= config.heartbeatMaxAgeMs &&
      usedPct <= limitPct &&
      node.inodesFree >= config.minInodesFree
    );
  }

  return {
    candidates(operator) {
      if (deps.clock.monotonic() - readAt > config.viewMaxAgeMs) return [];
      const limitPct = operator ? config.maxOperatorUtilizationPct : config.maxUtilizationPct;
      return [...nodes.values()]
        .filter(node => isFit(node, limitPct))
        .map(({ nodeNo, datacenter, failureDomain, availBytes }) => ({
          nodeNo,
          datacenter,
          failureDomain,
          freeBytes: availBytes - (reserved.get(nodeNo) ?? 0),
          demoted: demoted.has(nodeNo),
        }));
    },
    async find(nodeNo, signal) {
      if (!nodes.has(nodeNo) && !signal.aborted) await task.runNow();
      return nodes.get(nodeNo);
    },
    reserve: (nodeNo, bytes) => {
      reserved.set(nodeNo, (reserved.get(nodeNo) ?? 0) + bytes);
    },
    demote: nodeNo => {
      demoted.add(nodeNo);
    },
    async refresh(maxAgeMs) {
      if (deps.clock.monotonic() - readAt > maxAgeMs) await task.runNow();
    },
    close: () => task.stop(),
  };
}
