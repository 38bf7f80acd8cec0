/**
 * What the metadata library offers: the shapes that cross its edge. Times are epoch milliseconds, sizes safe integers,
 * MD5 digests base64 text. Source of the rules: metadata.md §12.
 */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Lower-case hyphenated UUID. */
export type Uuid = Branded<string, 'Uuid'>;
/** Identity of one version of an entry: new on every write, chosen by the writer. */
export type Rev = Branded<string, 'Rev'>;
/** Internal path of a directory: `/<owner uuid>` or `/<owner uuid>/<root>/…`, decoded UTF-8, no trailing slash. */
export type DirPath = Branded<string, 'DirPath'>;

/** Where an entry lives: the directory that holds it and its name there. */
export interface Place {
  readonly dir: DirPath;
  readonly name: string;
}

interface EntryCommon {
  readonly owner: Uuid;
  readonly creator: Uuid;
  readonly rev: Rev;
  readonly mtimeMs: number;
  /** UUIDs of role tags. */
  readonly roles: readonly Uuid[];
  /** Replayed headers only (`m-*`, CORS, cache-control, surrogate-key), names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ObjectEntry extends EntryCommon {
  readonly kind: 'object';
  readonly objectId: Uuid;
  /** What clients see as the Etag; the object id unless a multipart upload reserved another. */
  readonly etag: string;
  readonly sizeBytes: number;
  /** base64, 24 characters. */
  readonly md5: string;
  readonly contentType: string;
  readonly contentDisposition?: string;
  /** `node_no` of the storage nodes that hold the bytes; empty for a zero-byte object. */
  readonly copies: readonly number[];
  /** False once a snaplink to it has ever been made. */
  readonly singlePath: boolean;
}

export interface DirectoryEntry extends EntryCommon {
  readonly kind: 'directory';
  readonly childDir: Uuid;
}

export type Entry = ObjectEntry | DirectoryEntry;

/** What a mutation expects to find under the name. */
export type Expect =
  | { readonly kind: 'any' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'rev'; readonly rev: Rev };

export interface CallOptions {
  /** Stops waiting (never a statement that may be committing). */
  readonly signal?: AbortSignal;
  /** Milliseconds from now after which the call gives up; default from the library's configuration. */
  readonly deadlineMs?: number;
}

export interface NewObject {
  readonly owner: Uuid;
  readonly creator: Uuid;
  /** A fresh id made for this operation; repeating an operation repeats its id. */
  readonly objectId: Uuid;
  readonly sizeBytes: number;
  readonly md5: string;
  readonly contentType: string;
  readonly contentDisposition?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly roles: readonly Uuid[];
  readonly copies: readonly number[];
}

/** Full replacement of what clients may change on an existing entry; size, MD5, etag and copies stay. */
export interface MetadataPatch {
  /** Undefined keeps the stored type. Ignored on directories. */
  readonly contentType?: string;
  /** Undefined removes it. Ignored on directories. */
  readonly contentDisposition?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly roles: readonly Uuid[];
}

export interface DirectoryAttributes {
  readonly owner: Uuid;
  readonly creator: Uuid;
  readonly headers: Readonly<Record<string, string>>;
  readonly roles: readonly Uuid[];
}

/**
 * created/replaced/unchanged: the entry is as asked, `rev` and `mtimeMs` are its own. superseded: it was written and
 * somebody else overwrote or deleted it since, which callers report as success.
 */
export type PutResult =
  | { readonly kind: 'created' | 'replaced' | 'unchanged'; readonly rev: Rev; readonly mtimeMs: number }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'no_directory' | 'is_directory' | 'precondition' | 'expired' };

export type UpdateResult =
  | { readonly kind: 'updated'; readonly rev: Rev; readonly mtimeMs: number }
  | { readonly kind: 'absent' | 'precondition' };

export type DeleteResult = { readonly kind: 'deleted' | 'absent' | 'precondition' | 'is_directory' };

export type MkdirResult =
  | { readonly kind: 'created' | 'replaced' | 'unchanged'; readonly mtimeMs: number }
  | { readonly kind: 'no_directory' | 'precondition' };

export type RmdirResult = { readonly kind: 'deleted' | 'absent' | 'not_empty' | 'is_object' | 'precondition' };

export type LinkResult =
  | { readonly kind: 'created' | 'replaced' | 'unchanged'; readonly mtimeMs: number }
  | { readonly kind: 'superseded' | 'source_gone' | 'no_directory' | 'is_directory' | 'expired' };

export interface ListQuery {
  readonly sort: 'name' | 'mtime' | 'none';
  /** By name: descending. By mtime: oldest first (newest first is the default order of mtime). */
  readonly reverse: boolean;
  /** Inclusive bound: a name, or epoch milliseconds under sort mtime. Ignored under sort none. */
  readonly marker?: string | number;
  /** 1..1024. */
  readonly limit: number;
  readonly only?: 'object' | 'directory';
  /** Only entries of this owner; undefined lists all. */
  readonly owner?: Uuid;
}

export interface ListPage {
  readonly entries: readonly ListedEntry[];
  /** All entries of the directory whatever the query. */
  readonly total: number;
}

export type ListedEntry =
  | { readonly kind: 'directory'; readonly name: string; readonly mtimeMs: number }
  | {
      readonly kind: 'object';
      readonly name: string;
      readonly mtimeMs: number;
      readonly etag: string;
      readonly sizeBytes: number;
      readonly contentType: string;
      readonly contentDisposition?: string;
      readonly md5: string;
      readonly copies: number;
    };

/** An upload whose bytes may lie on nodes without an entry: queued for collection. */
export interface AbandonedUpload {
  readonly objectId: Uuid;
  readonly creator: Uuid;
  readonly owner: Uuid;
  readonly copies: readonly number[];
  readonly sizeBytes: number;
}

/**
 * The namespace over all index shards. Every method routes by the hash of the directory, follows the ring, and throws
 * MantaError `ServiceUnavailable` when a shard cannot be reached or the outcome stays unknown at the deadline.
 */
export interface Metadata {
  get(place: Place, options?: CallOptions): Promise<Entry | undefined>;
  /** The entry together with the number of entries in its directory (for the entry limit). One round trip. */
  getForWrite(place: Place, options?: CallOptions): Promise<{ entry: Entry | undefined; siblings: number }>;
  putObject(place: Place, object: NewObject, expect: Expect, options?: CallOptions): Promise<PutResult>;
  /**
   * Replaces what clients may change on an entry of the kind that was seen. `expect` any: on whatever version stands
   * there by then; default: on the version seen.
   */
  updateMetadata(
    place: Place,
    patch: MetadataPatch,
    seen: Pick<Entry, 'kind' | 'rev'>,
    expect?: Expect,
    options?: CallOptions,
  ): Promise<UpdateResult>;
  /** Metadata of a root directory that may have no entry yet: creates or replaces its entry, keeping its children. */
  putRoot(place: Place, attributes: DirectoryAttributes, options?: CallOptions): Promise<UpdateResult>;
  /** Deletes an object. `expect` any: whichever stands there by then; default: the version seen. */
  deleteObject(place: Place, seen: Rev, expect?: Expect, options?: CallOptions): Promise<DeleteResult>;
  /** Idempotent; replaces an object of that name; an existing directory with other headers gets the new ones. */
  mkdir(place: Place, attributes: DirectoryAttributes, expect: Expect, options?: CallOptions): Promise<MkdirResult>;
  rmdir(place: Place, expect: Expect, options?: CallOptions): Promise<RmdirResult>;
  /** Entries of a directory. A directory that has no permit row yet lists as empty. Existence is the caller's check. */
  list(dir: DirPath, query: ListQuery, options?: CallOptions): Promise<ListPage>;
  /** The object at `source`, as read in `seen`, gets a second name. */
  link(
    source: Place,
    seen: ObjectEntry,
    target: Place,
    attributes: { readonly owner: Uuid; readonly roles: readonly Uuid[] },
    options?: CallOptions,
  ): Promise<LinkResult>;
  /** Best effort, never throws: remembers bytes that may have been stored without an entry. */
  abandon(place: Place, upload: AbandonedUpload): Promise<void>;
  /** Settles half-done mkdirs and rmdirs older than 30 s on every shard. Returns how many rows it settled. */
  sweep(signal: AbortSignal): Promise<number>;
  /** True when every shard answers: for readiness and the pipeline's dependency check. Uses a view of at most 1 s age. */
  isAvailable(): boolean;
  close(): Promise<void>;
}

/** A storage node as placement and reads see it. metadata.md §14.3. */
export interface StorageNodeView {
  readonly nodeNo: number;
  readonly storageId: string;
  readonly datacenter: string;
  readonly failureDomain: string;
  /** `http://host:port`, no trailing slash. */
  readonly baseUrl: string;
  readonly writes: 'enabled' | 'disabled';
  readonly lifecycle: 'active' | 'draining' | 'drained' | 'retired';
  readonly outOfService: boolean;
  readonly totalBytes: number;
  readonly availBytes: number;
  readonly inodesFree: number;
  /** Age of the last heartbeat on the database's clock, milliseconds, when the view was read. */
  readonly heartbeatAgeMs: number;
}

/** The same for people and for the region's operator. */
export interface StorageNodeReport extends StorageNodeView {
  readonly computeId: string | null;
  /** Of the volume that is accepted under this id. */
  readonly incarnation: string;
  /** Of the volume that sent the last heartbeat. */
  readonly reportedIncarnation: string;
  /** Of the program that sent it. */
  readonly version: string;
}

export interface Heartbeat {
  readonly storageId: string;
  readonly incarnation: string;
  readonly layout: number;
  readonly baseUrl: string;
  readonly datacenter: string;
  readonly failureDomain: string;
  readonly computeId?: string | undefined;
  readonly totalBytes: number;
  readonly availBytes: number;
  readonly inodesFree: number;
  readonly writesInflight: number;
  readonly outOfService: boolean;
  readonly version: string;
}

export type HeartbeatResult =
  | {
      readonly kind: 'accepted';
      readonly nodeNo: number;
      readonly writes: StorageNodeView['writes'];
      readonly lifecycle: StorageNodeView['lifecycle'];
    }
  | { readonly kind: 'incarnation_mismatch' | 'retired' };

/** The registry of storage nodes in the control database. */
export interface StorageNodes {
  heartbeat(heartbeat: Heartbeat, options?: CallOptions): Promise<HeartbeatResult>;
  list(options?: CallOptions): Promise<StorageNodeView[]>;
  report(options?: CallOptions): Promise<StorageNodeReport[]>;
  /** What an operator may set. Undefined fields stay. False when the node is unknown. */
  set(
    storageId: string,
    change: {
      writes?: StorageNodeView['writes'];
      lifecycle?: StorageNodeView['lifecycle'];
      acceptIncarnation?: string;
    },
    options?: CallOptions,
  ): Promise<boolean>;
}
