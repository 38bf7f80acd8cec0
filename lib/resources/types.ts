// Generated from crds/ by `npm run generate`; do not edit.
import type { KubernetesObject, ObjectMeta } from '../kubernetes/object.ts';
import { defineResource } from '../kubernetes/resource.ts';

/** An object of one of our kinds. */
export interface CustomResource<Kind extends string, Spec, Status> extends KubernetesObject {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/**
 * A region of Manta, an object store over HTTP. There is one in a namespace; Shards and StorageNodes of the namespace
 * belong to it.
 */
export type MantaRegion = CustomResource<'MantaRegion', MantaRegionSpec, MantaRegionStatus>;
/** Where objects of kind MantaRegion are in the API. */
export const mantaRegions = defineResource<MantaRegion>({
  group: 'manta.io',
  version: 'v1alpha1',
  kind: 'MantaRegion',
  plural: 'mantaregions',
});

/**
 * A shard of the region in its namespace. One PostgreSQL is primary; the others replicate from it, the first of them
 * synchronously.
 */
export type Shard = CustomResource<'Shard', ShardSpec, ShardStatus>;
/** Where objects of kind Shard are in the API. */
export const shards = defineResource<Shard>({
  group: 'manta.io',
  version: 'v1alpha1',
  kind: 'Shard',
  plural: 'shards',
});

/** A storage node of the region in its namespace. */
export type StorageNode = CustomResource<'StorageNode', StorageNodeSpec, StorageNodeStatus>;
/** Where objects of kind StorageNode are in the API. */
export const storageNodes = defineResource<StorageNode>({
  group: 'manta.io',
  version: 'v1alpha1',
  kind: 'StorageNode',
  plural: 'storagenodes',
});

/** A Secret. */
export interface SecretReference {
  /** Name of the Secret in the region's namespace. */
  readonly name: string;
}

/** Whole references, by tag or digest, that win over registry and version for one program. */
export interface MantaRegionImagesOverrides {
  /** Reference of the image of this program. */
  readonly webapi?: string;
  /** Reference of the image of this program. */
  readonly loadbalancer?: string;
  /** Reference of the image of this program. */
  readonly storage?: string;
  /** Reference of the image of this program. */
  readonly postgres?: string;
  /** Reference of the image of this program. */
  readonly nameservice?: string;
}

/** Where the images of the programs come from. */
export interface MantaRegionImages {
  /** Registry and path before the names of the programs. Unset, the one of the operator's own image. */
  readonly registry?: string;
  /** When nodes fetch an image. */
  readonly pullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Secrets with credentials of the registry. */
  readonly pullSecrets?: readonly SecretReference[];
  /** Whole references, by tag or digest, that win over registry and version for one program. */
  readonly overrides?: MantaRegionImagesOverrides;
}

/** A taint that is accepted, as in a pod. */
export interface Toleration {
  /** Key of the taint. Empty with operator Exists accepts all of them. */
  readonly key?: string;
  /** How the value is compared. */
  readonly operator?: 'Exists' | 'Equal';
  /** Value of the taint. */
  readonly value?: string;
  /** Effect of the taint. Unset means all of them. */
  readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  /** How long a NoExecute taint is accepted, in seconds. Unset means for ever. */
  readonly tolerationSeconds?: number;
}

/** Which nodes the programs run on. */
export interface MantaRegionPlacement {
  /**
   * Whether the spread over zones and nodes is demanded (Required) or wished for (Preferred). Default by profile:
   * Required in production. Peers of one shard, and members of nameservice, never share a node.
   */
  readonly strictness?: 'Required' | 'Preferred';
  /** Labels of the nodes for everything but storage. Default by profile: manta.io/node-role=service in production. */
  readonly serviceNodeSelector?: Readonly<Record<string, string>>;
  /** Labels of the nodes for storage. Default by profile: manta.io/node-role=storage in production. */
  readonly storageNodeSelector?: Readonly<Record<string, string>>;
  /** Taints that the pods accept besides manta.io/storage, which storage pods always accept. */
  readonly tolerations?: readonly Toleration[];
}

/** What each pod requests and may use at most. Sets single values; the others keep the profile's default. */
export interface PodResources {
  /** Amounts by resource, such as cpu and memory. */
  readonly requests?: Readonly<Record<string, number | string>>;
  /** Amounts by resource, such as cpu and memory. */
  readonly limits?: Readonly<Record<string, number | string>>;
}

/** A program of which there are several alike. */
export interface ReplicatedService {
  /** Pods in the whole region. Default by profile: 1, 2, or 2 in each zone. */
  readonly replicas?: number;
  /** What each pod requests and may use at most. Sets single values; the others keep the profile's default. */
  readonly resources?: PodResources;
  /** Least severe level that is logged. */
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** A program whose number of pods follows from other resources. */
export interface SingleService {
  /** What each pod requests and may use at most. Sets single values; the others keep the profile's default. */
  readonly resources?: PodResources;
  /** Least severe level that is logged. */
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** etcd, whose number of pods is nameservice.members. */
export interface MantaRegionServicesNameservice {
  /** What each pod requests and may use at most. Sets single values; the others keep the profile's default. */
  readonly resources?: PodResources;
}

/** What one program is given, where the profile's default does not fit. */
export interface MantaRegionServices {
  /** A program of which there are several alike. */
  readonly webapi?: ReplicatedService;
  /** A program of which there are several alike. */
  readonly loadbalancer?: ReplicatedService;
  /** A program whose number of pods follows from other resources. */
  readonly storage?: SingleService;
  /** A program whose number of pods follows from other resources. */
  readonly postgres?: SingleService;
  /** etcd, whose number of pods is nameservice.members. */
  readonly nameservice?: MantaRegionServicesNameservice;
}

/** Volume of each member. Immutable. */
export interface MantaRegionNameserviceStorage {
  /** Storage class. Unset means the default class of the cluster. */
  readonly class?: string;
  /** Size of the volume. */
  readonly size: string;
}

/** The region's etcd, which knows who is primary of each shard, and nothing else. */
export interface MantaRegionNameservice {
  /**
   * Members, 1 or 3. Default by profile: 1 in dev, 3 otherwise. Cannot change, not by a change of the profile either.
   */
  readonly members?: 1 | 3;
  /** Volume of each member. Immutable. */
  readonly storage: MantaRegionNameserviceStorage;
}

/** Settings of PostgreSQL for the Shards that are made. */
export interface MantaRegionShardTemplatePostgres {
  /** Parameters of postgresql.conf. Those that durability or replication rests on are refused. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** What each pod requests and may use at most. Sets single values; the others keep the profile's default. */
  readonly resources?: PodResources;
}

/** A volume. */
export interface ClaimTemplate {
  /** Storage class. Unset means the default class of the cluster. */
  readonly class?: string;
  /** Size of the volume. */
  readonly size: string;
}

/** Volumes of each peer. */
export interface MantaRegionShardTemplateStorage {
  /** A volume. */
  readonly data: ClaimTemplate;
  /** A volume. */
  readonly wal: ClaimTemplate;
}

/** Makes the Shards shard-1 to shard-<count> that do not exist. Never changes or deletes one. */
export interface MantaRegionShardTemplate {
  /**
   * Shards to make. Default by profile: 1, 2 or 4. With 1 it hosts all databases; with more, shard-1 hosts control,
   * jobs and ops, and the others index.
   */
  readonly count?: number;
  /** Peers of each shard. Default by profile: 1 in dev, 3 otherwise. */
  readonly peers?: 1 | 3 | 5 | 7;
  /** Settings of PostgreSQL for the Shards that are made. */
  readonly postgres: MantaRegionShardTemplatePostgres;
  /** Volumes of each peer. */
  readonly storage?: MantaRegionShardTemplateStorage;
}

/**
 * Makes StorageNodes, numbered on from the highest number ever used, until each zone has its share. Never changes or
 * deletes one.
 */
export interface MantaRegionStorageTemplate {
  /** StorageNodes in each zone. Default by profile: 1, or 3 where there is one zone; none in production. */
  readonly perZone?: number;
  /** A volume. */
  readonly volume?: ClaimTemplate;
}

/** The Service manta, in front of the loadbalancers. */
export interface MantaRegionFrontDoorService {
  /** Kind of Service. */
  readonly type: 'LoadBalancer' | 'NodePort';
  /** Annotations of the Service, for the cloud's or the cluster's controllers. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Which controller serves a Service of type LoadBalancer. */
  readonly loadBalancerClass?: string;
  /** Local keeps the addresses of clients, which logs and policies see; Cluster does not. */
  readonly externalTrafficPolicy: 'Local' | 'Cluster';
  /** Networks that may connect. Unset means all. */
  readonly sourceRanges?: readonly string[];
}

/** The certificate that clients see. */
export interface MantaRegionFrontDoorTls {
  /**
   * Secret of type kubernetes.io/tls: key, and certificate with its intermediates in order. Unset, the operator makes a
   * self-signed one; production demands a name.
   */
  readonly secretName?: string;
}

/** Refuses requests before a webapi process drowns in them. Applies to each process. */
export interface MantaRegionFrontDoorThrottle {
  /** Whether requests are limited at all. */
  readonly enabled: boolean;
  /** Requests worked on at once. */
  readonly concurrency: number;
  /** Requests that may wait for their turn; beyond these the answer is 503. */
  readonly queue: number;
}

/** How clients reach the region. */
export interface MantaRegionFrontDoor {
  /** DNS names that clients use. The first is the canonical one. */
  readonly hostnames: readonly string[];
  /** The Service manta, in front of the loadbalancers. */
  readonly service: MantaRegionFrontDoorService;
  /** The certificate that clients see. */
  readonly tls: MantaRegionFrontDoorTls;
  /** Networks of proxies in front of the loadbalancers whose X-Forwarded-For is believed. */
  readonly trustedProxies?: readonly string[];
  /** Refuses requests before a webapi process drowns in them. Applies to each process. */
  readonly throttle: MantaRegionFrontDoorThrottle;
}

/** How objects are stored. */
export interface MantaRegionStorage {
  /** Copies of an object whose upload does not say. */
  readonly defaultCopies: number;
  /** Most copies a client may ask for. */
  readonly maxCopies: number;
  /** Whether copies of one object must lie in two zones at least. Auto means with three zones. */
  readonly multiZone: 'Auto' | 'Always' | 'Never';
  /** Fullness beyond which a storage node gets no new objects of ordinary accounts. */
  readonly maxUtilizationPercent: number;
  /** The same for operators' accounts. */
  readonly operatorUtilizationPercent: number;
  /**
   * Largest upload of unknown length that names no maximum, in MiB; so much is set aside for it. Default by profile:
   * 5120, in production 51200.
   */
  readonly maxStreamingSizeMB?: number;
}

/** Limits of the API. */
export interface MantaRegionLimits {
  /** Entries of one directory; an upload that would add one to more than these is refused. */
  readonly maxDirectoryEntries: number;
}

/** Where backups go. */
export interface MantaRegionBackupTarget {
  /**
   * Manta keeps them in this region, below /poseidon/stor/backups, where they survive the loss of a shard but not of
   * the region. None makes no backups.
   */
  readonly type: 'Manta' | 'None';
}

/** Continuous backup of the shards. */
export interface MantaRegionBackup {
  /** Where backups go. */
  readonly target: MantaRegionBackupTarget;
  /** Any moment of so many last days can be restored. */
  readonly recoveryDays: number;
}

/** What the region is to be. */
export interface MantaRegionSpec {
  /**
   * What the region is for. It supplies the defaults of fields that are not set, and may only rise from dev to lab to
   * production, whose rules then apply.
   */
  readonly profile: 'dev' | 'lab' | 'production';
  /** Name of the region, part of the ids of its storage nodes and shards for all time. Immutable. */
  readonly regionName: string;
  /** Domain that follows the region's name in ids, as in 2.stor.us-east.example.net. Immutable. */
  readonly domainSuffix: string;
  /**
   * Values of the node label topology.kubernetes.io/zone that the region lies in, one or three. With one zone the label
   * is not used. May go from one to three; pods that are placed move only when they are replaced.
   */
  readonly zones: readonly string[];
  /**
   * Version of all programs but the operator: the tag of their images. Unset, they follow the operator, so that helm
   * upgrade is the whole upgrade.
   */
  readonly version?: string;
  /** Where the images of the programs come from. */
  readonly images: MantaRegionImages;
  /** No pod is replaced for a change while this is true. Repair and failover go on. */
  readonly paused: boolean;
  /** Which nodes the programs run on. */
  readonly placement: MantaRegionPlacement;
  /** What one program is given, where the profile's default does not fit. */
  readonly services: MantaRegionServices;
  /** The region's etcd, which knows who is primary of each shard, and nothing else. */
  readonly nameservice: MantaRegionNameservice;
  /** Makes the Shards shard-1 to shard-<count> that do not exist. Never changes or deletes one. */
  readonly shardTemplate: MantaRegionShardTemplate;
  /**
   * Makes StorageNodes, numbered on from the highest number ever used, until each zone has its share. Never changes or
   * deletes one.
   */
  readonly storageTemplate: MantaRegionStorageTemplate;
  /** How clients reach the region. */
  readonly frontDoor: MantaRegionFrontDoor;
  /** How objects are stored. */
  readonly storage: MantaRegionStorage;
  /** Limits of the API. */
  readonly limits: MantaRegionLimits;
  /** Continuous backup of the shards. */
  readonly backup: MantaRegionBackup;
  /**
   * What deleting the region does. Retain stops its stateless programs and nameservice and keeps all data, Shards and
   * StorageNodes; Destroy removes all of it, and in production needs the annotation manta.io/allow-destroy.
   */
  readonly deletionPolicy: 'Retain' | 'Destroy';
}

/** One thing that holds, does not hold or is not known. */
export interface Condition {
  /** Name of the condition. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** Why, in one word for programs. */
  readonly reason: string;
  /** Why, in a sentence for people. */
  readonly message: string;
  /** When the status last changed. */
  readonly lastTransitionTime: string;
  /** The generation of the spec that this condition is about. */
  readonly observedGeneration?: number;
}

/** Composed columns of kubectl get. */
export interface MantaRegionStatusDisplay {
  /** Ready Shards of all. */
  readonly shards?: string;
  /** Ready StorageNodes of all. */
  readonly storage?: string;
  /** Part of the space that is used. */
  readonly used?: string;
  /** Compute slots, ready of all; a dash where there is no compute. */
  readonly slots?: string;
  /** Where clients connect. */
  readonly endpoint?: string;
  /** Day on which the certificate ends. */
  readonly tlsExpires?: string;
}

/** A program, or the postgres of one shard. */
export interface MantaRegionStatusPrograms {
  /** Name of the program. */
  readonly name: string;
  /** Name of the Shard, for postgres. */
  readonly shard?: string;
  /** Pods that there are to be. */
  readonly desired: number;
  /** Pods that are ready. */
  readonly ready: number;
  /** Version of the image. */
  readonly version?: string;
  /** Reference of the image. */
  readonly image?: string;
  /** Hash of the rendered configuration. */
  readonly configHash?: string;
  /** Pods that have not loaded it yet. */
  readonly pendingHash?: number;
}

/** Which Shard hosts which database. */
export interface MantaRegionStatusShards {
  /** Names of the Shards that host index. */
  readonly index?: readonly string[];
  /** Name of the Shard that hosts control. */
  readonly control?: string;
  /** Name of the Shard that hosts jobs. */
  readonly jobs?: string;
  /** Name of the Shard that hosts ops. */
  readonly ops?: string;
}

/** Which part of the namespace is on which shard. */
export interface MantaRegionStatusSlotMap {
  /** Version of the map. */
  readonly version?: number;
  /** Digest that every webapi process must show. */
  readonly digest?: string;
  /** Vnodes on the move between shards. */
  readonly moving?: number;
}

/** A member. */
export interface MantaRegionStatusNameserviceMembers {
  /** Name of the pod. */
  readonly name: string;
  /** Id of the member in etcd, hexadecimal. */
  readonly id?: string;
  /** Zone of the pod's node. */
  readonly zone?: string;
  /** Uid of the claim that the member was made with. */
  readonly volume?: string;
  /** Whether it leads. */
  readonly leader?: boolean;
  /** Whether it answers. */
  readonly healthy?: boolean;
  /** Size of its database file. */
  readonly dbBytes?: number;
}

/** The region's etcd. */
export interface MantaRegionStatusNameservice {
  /** Id of the etcd cluster, once all members have been healthy together; from then on no member forms a new one. */
  readonly clusterId?: string;
  /** The members. */
  readonly members?: readonly MantaRegionStatusNameserviceMembers[];
}

/** All storage nodes together. */
export interface MantaRegionStatusStorage {
  /** StorageNodes that exist. */
  readonly nodes?: number;
  /** Of these ready. */
  readonly ready?: number;
  /** Of these take new objects. */
  readonly writable?: number;
  /** Bytes of all volumes. */
  readonly totalBytes?: number;
  /** Of these used. */
  readonly usedBytes?: number;
  /** Of these used in per cent. */
  readonly percentUsed?: number;
  /** Per cent used on the fullest node. */
  readonly maxNodePercent?: number;
}

/** The certificate that is served. */
export interface MantaRegionStatusFrontDoorCertificate {
  /** Serial number, hexadecimal. */
  readonly serial?: string;
  /** When it ends. */
  readonly notAfter?: string;
  /** Names it is made for. */
  readonly subjects?: readonly string[];
  /** Loadbalancer pods that serve another one. */
  readonly podsStale?: number;
}

/** How clients reach the region. */
export interface MantaRegionStatusFrontDoor {
  /** Addresses of the Service manta. */
  readonly addresses?: readonly string[];
  /** The certificate that is served. */
  readonly certificate?: MantaRegionStatusFrontDoorCertificate;
}

/** The one change in progress. */
export interface MantaRegionStatusRollout {
  /** Program that has its turn. */
  readonly program?: string;
  /** Shard, StorageNode or workload that has its turn. */
  readonly object?: string;
  /** Image before. */
  readonly from?: string;
  /** Image after. */
  readonly to?: string;
  /** When the turn began. */
  readonly startedAt?: string;
  /** What it waits for. */
  readonly message?: string;
}

/** What the region is, for people. Written by the operator. */
export interface MantaRegionStatus {
  /** The generation of the spec that this status is about. */
  readonly observedGeneration?: number;
  /** What holds; each message says what is missing, where to look, and the next command. */
  readonly conditions?: readonly Condition[];
  /** Composed columns of kubectl get. */
  readonly display?: MantaRegionStatusDisplay;
  /** Version in force. */
  readonly version?: string;
  /** What runs, a line for each program, and for each shard a line of its own. */
  readonly programs?: readonly MantaRegionStatusPrograms[];
  /** Which Shard hosts which database. */
  readonly shards?: MantaRegionStatusShards;
  /** Which part of the namespace is on which shard. */
  readonly slotMap?: MantaRegionStatusSlotMap;
  /** The region's etcd. */
  readonly nameservice?: MantaRegionStatusNameservice;
  /** All storage nodes together. */
  readonly storage?: MantaRegionStatusStorage;
  /** How clients reach the region. */
  readonly frontDoor?: MantaRegionStatusFrontDoor;
  /** The one change in progress. */
  readonly rollout?: MantaRegionStatusRollout;
  /** Highest number of a storage node ever used plus one. */
  readonly nextStorageNumber?: number;
}

/** Settings of PostgreSQL. Its major version is the image's. */
export interface ShardPostgres {
  /** Parameters of postgresql.conf. Those that durability or replication rests on are refused. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** What each pod requests and may use at most. Sets single values; the others are the region's. */
  readonly resources?: PodResources;
}

/** Volumes of each peer. */
export interface ShardStorage {
  /** A volume, by a claim of its own. The size only grows. */
  readonly data: ClaimTemplate;
  /** A volume, by a claim of its own. The size only grows. */
  readonly wal: ClaimTemplate;
}

/** While this is present no role changes. */
export interface ShardFreeze {
  /** Why, for the next person. */
  readonly reason: string;
}

/** Fills the shard from a backup when it is made. Immutable. */
export interface ShardRestore {
  /** Id of the shard that was backed up, such as 3.moray.us-east.example.net. */
  readonly source: string;
  /** The moment, as RFC 3339 has it, or latest. */
  readonly time: string;
}

/** What the shard is to be. */
export interface ShardSpec {
  /**
   * What the shard hosts. In a region exactly one shard hosts each of control, jobs and ops, and at least one hosts
   * index. Only index may be added later, and removed while the shard holds no vnode.
   */
  readonly databases: readonly ('index' | 'control' | 'jobs' | 'ops')[];
  /** Share takes an equal part of the namespace among all shards that share; None holds none. */
  readonly vnodes: 'Share' | 'None';
  /** Servers of the shard. 1 is for development, without a sync and without fault tolerance. */
  readonly peers: 1 | 3 | 5 | 7;
  /** Settings of PostgreSQL. Its major version is the image's. */
  readonly postgres: ShardPostgres;
  /** Volumes of each peer. */
  readonly storage: ShardStorage;
  /**
   * Whether the sync takes over by itself when the primary is gone (auto), or only on a switchover request (manual).
   */
  readonly failover: 'auto' | 'manual';
  /** While this is present no role changes. */
  readonly freeze?: ShardFreeze;
  /** Fills the shard from a backup when it is made. Immutable. */
  readonly restore?: ShardRestore;
  /** Labels of the nodes. Unset means the region's serviceNodeSelector. */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Taints that the pods accept. Unset means the region's. */
  readonly tolerations?: readonly Toleration[];
  /**
   * What deleting the Shard does with its volumes and passwords. Destroy needs the annotation manta.io/allow-destroy.
   */
  readonly deletionPolicy: 'Retain' | 'Destroy';
}

/** Composed columns of kubectl get. */
export interface ShardStatusDisplay {
  /** Databases. */
  readonly databases?: string;
  /** Number of asyncs. */
  readonly async?: string;
  /** How far the sync is behind. */
  readonly lag?: string;
  /** Vnodes; a dash without index. */
  readonly vnodes?: string;
  /** Part of the fullest volume that is used. */
  readonly disk?: string;
}

/** A base backup in progress. */
export interface ShardStatusPeersRebuild {
  /** Part that is done. */
  readonly percent?: number;
}

/** A peer. */
export interface ShardStatusPeers {
  /** Name of the pod. */
  readonly name: string;
  /** Its place in the state. */
  readonly role?: 'primary' | 'sync' | 'async' | 'deposed' | 'none';
  /** Zone of its node. */
  readonly zone?: string;
  /** Name of its node. */
  readonly node?: string;
  /** What its sitter says of itself, in a word. */
  readonly health?: string;
  /** Timeline it is on. */
  readonly timeline?: number;
  /** Bytes of WAL it is behind, in steps of 16 MiB. */
  readonly lagBytes?: number;
  /** A base backup in progress. */
  readonly rebuild?: ShardStatusPeersRebuild;
}

/** A change. */
export interface ShardStatusHistory {
  /** Number of the state that it made. */
  readonly seq: number;
  /** Generation of that state. */
  readonly generation: number;
  /** When. */
  readonly at: string;
  /** Why, as replication.md names it. */
  readonly cause: string;
  /** Primary before. */
  readonly from?: string;
  /** Primary after. */
  readonly to?: string;
  /** How long no write was possible, in milliseconds. */
  readonly writeGapMs?: number;
}

/** What there is to restore from. */
export interface ShardStatusBackup {
  /** When the newest base backup ended. */
  readonly lastBase?: string;
  /** Earliest moment that can be restored. */
  readonly recoverableFrom?: string;
}

/** The newest request of annotation manta.io/request. */
export interface ShardStatusRequest {
  /** Id that the requester chose. */
  readonly id: string;
  /** What was asked for. */
  readonly verb?: string;
  /** How far it is. */
  readonly state: 'Pending' | 'Done' | 'Refused' | 'Failed';
  /** Why, in a sentence. */
  readonly message?: string;
  /** When the state last changed. */
  readonly at?: string;
}

/** What the shard is, for people. A mirror of its state in nameservice, written by the operator. */
export interface ShardStatus {
  /** The generation of the spec that this status is about. */
  readonly observedGeneration?: number;
  /** What holds; each message says what is missing, where to look, and the next command. */
  readonly conditions?: readonly Condition[];
  /** Composed columns of kubectl get. */
  readonly display?: ShardStatusDisplay;
  /** System identifier of the PostgreSQL cluster; a database with another one is never taken for this shard. */
  readonly systemId?: string;
  /** Grows with each change of primary or sync. */
  readonly generation?: number;
  /** Grows with each change of the state. */
  readonly seq?: number;
  /** Timeline of PostgreSQL. */
  readonly timeline?: number;
  /** Pod that takes writes. */
  readonly primary?: string;
  /** Pod that has each commit before it is acknowledged, and takes over. */
  readonly sync?: string;
  /** Pods that follow, in the order of the chain. */
  readonly async?: readonly string[];
  /** Former primaries that may hold records nobody else has. */
  readonly deposed?: readonly string[];
  /** Each peer. */
  readonly peers?: readonly ShardStatusPeers[];
  /** Newest changes of roles, newest first. */
  readonly history?: readonly ShardStatusHistory[];
  /** Vnodes the shard holds. */
  readonly vnodes?: number;
  /** Size of its databases, to 1 %. */
  readonly databaseBytes?: number;
  /** Free part of the fullest volume. */
  readonly freePercent?: number;
  /** Bytes of WAL the sync is behind, in steps of 16 MiB. */
  readonly lagBytes?: number;
  /** What there is to restore from. */
  readonly backup?: ShardStatusBackup;
  /** The newest request of annotation manta.io/request. */
  readonly request?: ShardStatusRequest;
}

/** Where the bytes are. */
export interface StorageNodeVolume {
  /** Storage class of a local volume. Unset means the default class of the cluster. Immutable. */
  readonly class?: string;
  /** Size of a new claim. Only grows. */
  readonly size?: string;
  /** An existing claim with the volume of this storage node, instead of a new one. Immutable. */
  readonly claimName?: string;
}

/** What the storage node is to be. */
export interface StorageNodeSpec {
  /** Zone of the region that the node lies in; copies of an object are spread by it. Immutable. */
  readonly zone: string;
  /** Name of the Node it is to run on. Unset, any that fits; then the volume pins it. */
  readonly nodeName?: string;
  /**
   * What fails together, such as a rack or a disk shelf; no two copies of an object share one. Unset means the Node,
   * and in profile dev the storage node itself.
   */
  readonly failureDomain?: string;
  /** Where the bytes are. */
  readonly volume: StorageNodeVolume;
  /** ReadWrite, or ReadOnly to take no new objects and go on serving those there are. */
  readonly mode: 'ReadWrite' | 'ReadOnly';
  /** Why the mode is what it is, for the next person. Required unless ReadWrite. */
  readonly reason?: string;
  /**
   * Accepts a volume that was emptied or exchanged, by the incarnation that status shows: the objects it held are then
   * gone from this node.
   */
  readonly acceptIncarnation?: string;
  /**
   * What deleting the StorageNode does with its volume. Destroy retires the number, too, and needs the annotation
   * manta.io/allow-destroy.
   */
  readonly deletionPolicy: 'Retain' | 'Destroy';
}

/** Composed columns of kubectl get. */
export interface StorageNodeStatusDisplay {
  /** Part of the volume that is used. */
  readonly used?: string;
  /** Compute slots, ready, busy and total; a dash where there is no compute. */
  readonly slots?: string;
}

/** The volume. */
export interface StorageNodeStatusVolume {
  /** Name of the claim. */
  readonly claim?: string;
  /** Directory on the Node, from the PersistentVolume. */
  readonly path?: string;
}

/** Space, to 1 %. */
export interface StorageNodeStatusCapacity {
  /** Bytes of the volume. */
  readonly totalBytes?: number;
  /** Of these used. */
  readonly usedBytes?: number;
  /** Of these used in per cent. */
  readonly percentUsed?: number;
}

/** What the storage node is, for people. Written by the operator. */
export interface StorageNodeStatus {
  /** The generation of the spec that this status is about. */
  readonly observedGeneration?: number;
  /** What holds; each message says what is missing, where to look, and the next command. */
  readonly conditions?: readonly Condition[];
  /** Composed columns of kubectl get. */
  readonly display?: StorageNodeStatusDisplay;
  /** Id in the namespace, such as 2.stor.us-east.example.net. */
  readonly storageId?: string;
  /** Node the pod is on. */
  readonly nodeName?: string;
  /** Incarnation of the volume that the pod has. */
  readonly incarnation?: string;
  /** The volume. */
  readonly volume?: StorageNodeStatusVolume;
  /** Space, to 1 %. */
  readonly capacity?: StorageNodeStatusCapacity;
}
