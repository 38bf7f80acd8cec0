import type { Stored } from '../../lib/kubernetes/object.ts';
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StatefulSet,
} from '../../lib/kubernetes/resources.ts';
import type { StorageNode } from '../../lib/resources/types.ts';
import type { RegionView } from '../region-view.ts';
import type { ReportedNode } from '../webapi-client.ts';

/** Everything that is decided by, as it was when a reconcile began. */
export interface StorageSnapshot {
  readonly nowMs: number;
  readonly node: Stored<StorageNode>;
  /** Undefined: there is no region that the node could belong to. */
  readonly view: RegionView | undefined;
  /** It may replace its pod: of all of the region it is the one whose turn it is. */
  readonly hasTurn: boolean;
  /** Key ids of the region's public keys; undefined until there are any. */
  readonly publicKids: readonly string[] | undefined;
  readonly claim: Stored<PersistentVolumeClaim> | undefined;
  /** Bound to the claim. */
  readonly volume: Stored<PersistentVolume> | undefined;
  readonly statefulSet: Stored<StatefulSet> | undefined;
  readonly pod: Stored<Pod> | undefined;
  /** Nodes of the cluster, as they were lately. */
  readonly nodes: readonly Stored<Node>[];
  /** Undefined while webapi does not answer. */
  readonly control:
    | {
        /** What the control database knows of this node; undefined: nothing. */
        readonly reported: ReportedNode | undefined;
      }
    | undefined;
}
