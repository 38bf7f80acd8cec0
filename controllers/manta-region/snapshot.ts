import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Deployment, Node, Pod, Service, StatefulSet } from '../../lib/kubernetes/resources.ts';
import type { MantaRegion, Shard, StorageNode } from '../../lib/resources/types.ts';
import type { RegionView } from '../region-view.ts';
import type { SecretData } from '../secrets/secret-data.ts';
import type { WebapiLook } from '../webapi-view.ts';
import type { NameserviceLook } from './nameservice/look.ts';

/** The region's Secrets, complete. */
export interface RegionSecrets {
  readonly regionKey: SecretData;
  readonly nameservice: SecretData;
  readonly poseidon: SecretData;
}

/** Everything that is decided by, as it was when a reconcile began. */
export interface RegionSnapshot {
  readonly nowMs: number;
  readonly region: Stored<MantaRegion>;
  readonly view: RegionView;
  readonly secrets: RegionSecrets;
  readonly nameservice: {
    readonly statefulSet: Stored<StatefulSet> | undefined;
    /** Undefined before there is anything to look at. */
    readonly look: NameserviceLook | undefined;
    /** Uid of each member's claim, by the member's name. */
    readonly claims: ReadonlyMap<string, string>;
    /** Users, roles and passwords were found to be right lately. */
    readonly isAccessRight: boolean;
  };
  /** By number. */
  readonly shards: readonly Stored<Shard>[];
  /** By number. */
  readonly storageNodes: readonly Stored<StorageNode>[];
  readonly webapi: {
    readonly deployment: Stored<Deployment> | undefined;
    /** Undefined while no process of webapi answers. */
    readonly look: WebapiLook | undefined;
  };
  readonly loadbalancer: {
    readonly deployment: Stored<Deployment> | undefined;
    readonly service: Stored<Service> | undefined;
  };
  /** Of shards and storage nodes, by name. */
  readonly statefulSets: ReadonlyMap<string, Stored<StatefulSet>>;
  /** All pods of the region. */
  readonly pods: readonly Stored<Pod>[];
  /** All Nodes of the cluster, as they were lately. */
  readonly nodes: readonly Stored<Node>[];
}
