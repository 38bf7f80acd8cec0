import type { Readable } from 'node:stream';
import type { ObjectEntry, Uuid } from '../../../lib/metadata/types.ts';

/** What a PUT needs from the storage tier. http-api.md §14.1, metadata.md §14.4 and §14.6. */
export interface UploadRequest {
  readonly creator: Uuid;
  readonly objectId: Uuid;
  /** Declared length; undefined for a chunked body. */
  readonly sizeBytes?: number;
  /** `max-content-length` of a chunked body; undefined uses the configured streaming reservation. */
  readonly maxBytes?: number;
  /** base64, as the client sent it. */
  readonly md5?: string;
  readonly copies: number;
  /** Operators may fill nodes further. */
  readonly operator: boolean;
  readonly requestId: string;
  /** `<vnode> <percent-encoded path>`, advisory. */
  readonly hint: string;
}

/** All copies have answered `100 Continue`; bytes may flow. */
export interface Upload {
  /** node_no of each copy. */
  readonly copies: readonly number[];
  /** Storage ids of the copies, for the access log. */
  readonly storageIds: readonly string[];
  /**
   * Sends the body to every copy at the pace of the slowest and resolves once all have answered 201 with one digest.
   * On any failure all upstream requests are destroyed. Throws MantaError: `UploadTimeout` (client silent for the idle
   * time), `UploadAbandoned` (client went away), `MaxContentLengthExceeded`, `ContentMD5Mismatch`, `InternalError`.
   */
  send(body: Readable, signal: AbortSignal): Promise<{ sizeBytes: number; md5: string }>;
  /** Gives up before `send`. */
  abort(): void;
  /** True when a node may already have renamed its file into place: an `abandoned` row is due if no entry follows. */
  mayHaveStored(): boolean;
}

export interface DownloadRequest {
  readonly object: ObjectEntry;
  readonly status: 200 | 206;
  /** Inclusive byte positions; absent for the whole object. */
  readonly range?: readonly [first: number, last: number];
  /** Every header the client shall get, except Content-Length. */
  readonly headers: Readonly<Record<string, string>>;
  readonly requestId: string;
}

export interface Download {
  readonly storageId: string;
  /** As the node sends them: the grant's headers and its own Content-Length. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/** A copy that somebody else reads. */
export interface HandOver {
  readonly storageId: string;
  /** `host:port` of the storage node. */
  readonly host: string;
  readonly path: string;
  /** Bearer token for exactly this answer. */
  readonly grant: string;
}

/** The storage tier as webapi's handlers see it. */
export interface Transfers {
  /** Throws MantaError `NotEnoughSpace` (507) or `SharksExhausted` (503) when no complete set of nodes answers. */
  openUpload(request: UploadRequest, signal: AbortSignal): Promise<Upload>;
  /**
   * Tries the copies in random order until one answers. `reread` fetches the entry once more after a node's 404.
   * Throws MantaError `ServiceUnavailable` when every copy failed, `ResourceNotFound` when the entry is gone by then.
   */
  openDownload(
    request: DownloadRequest,
    reread: () => Promise<ObjectEntry | undefined>,
    signal: AbortSignal,
  ): Promise<Download>;
  /** Like `openDownload`, for somebody else to read: see `handOver`. */
  handOver(request: DownloadRequest, skipped: ReadonlySet<string>, signal: AbortSignal): Promise<HandOver | undefined>;
  /** False when no node is fit for writes or the registry was unreachable for too long. */
  canWrite(): boolean;
  close(): Promise<void>;
}
