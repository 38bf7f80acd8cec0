import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Node, PersistentVolumeClaim, Pod, StatefulSet } from '../../lib/kubernetes/resources.ts';
import type { Shard } from '../../lib/resources/types.ts';
import type { RegionView } from '../region-view.ts';
import type { ShardLook } from './look.ts';

/** Why nothing is made for a Shard. */
export type ShardRefusal =
  | { readonly kind: 'no-region' }
  | { readonly kind: 'database-taken'; readonly database: string; readonly host: string };

/** Everything that is decided by, as it was when a reconcile began. */
export interface ShardSnapshot {
  readonly nowMs: number;
  readonly shard: Stored<Shard>;
  readonly view: RegionView;
  /** It may replace pods: of all of the region it is the one whose turn it is. */
  readonly hasTurn: boolean;
  /** Undefined while etcd does not answer, or is not there yet. */
  readonly look: ShardLook | undefined;
  readonly statefulSet: Stored<StatefulSet> | undefined;
  /** The peers' pods, by ordinal. */
  readonly pods: readonly Stored<Pod>[];
  /** The peers' claims. */
  readonly claims: readonly Stored<PersistentVolumeClaim>[];
  readonly nodes: readonly Stored<Node>[];
}
