/**
 * The narrow door to etcd (replication.md §6): what a shard's peers, its clients and the operator need, and no more.
 * Two adapters stand behind it, `etcd.ts` and `memory.ts`, and pass one contract suite.
 *
 * Revisions are etcd's: one counter for the whole store, so that they compare across keys.
 */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** The lease whose end removes the key. */
  readonly lease?: string;
}

/** What a prefix held at one revision, read linearizably. Keys ascend. */
export interface PrefixRead {
  readonly revision: number;
  readonly entries: readonly KeyValue[];
  /** Monotonic milliseconds just before the call was sent: the read proves nothing about any later moment. */
  readonly sentAt: number;
}

/** A condition of a transaction. */
export type Comparison =
  | { readonly key: string; readonly is: 'absent' }
  | { readonly key: string; readonly modRevision: number }
  | { readonly key: string; readonly createRevision: number };

/** A key without `lease` is bound to none, also when it was bound to one before. */
export type Operation =
  | { readonly put: string; readonly value: string; readonly lease?: string }
  | { readonly delete: string };

/**
 * All comparisons hold and all operations are applied, or nothing is: then the outcome is a conflict, as it is for a put
 * bound to a lease that has ended. A key may be written once; `commit` rejects with RangeError otherwise.
 */
export interface Transaction {
  readonly compare: readonly Comparison[];
  readonly operations: readonly Operation[];
}

/**
 * How a transaction ended. `unknown`: it was sent and no answer came, so it may have been applied, may be applied later,
 * or never (§6.2); the caller reads back. `unavailable`: certainly not applied, because no endpoint took it or the store
 * refused it (access, space).
 */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly revision: number }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'unknown'; readonly message: string }
  | { readonly kind: 'unavailable'; readonly message: string };

export interface CallOptions {
  /** Gives up waiting. A transaction already sent then has the outcome `unknown`. */
  readonly signal?: AbortSignal;
}

/** Ends the watch. Idempotent. */
export interface Subscription {
  close(): void;
}

/**
 * One client of the coordination store. Every call has a deadline of its own for each endpoint and goes on to the next
 * endpoint at once (§6.4). Reads and lease calls throw MantaError `CoordinatorUnavailable` when no endpoint answers.
 */
export interface Coordinator {
  read(prefix: string, options?: CallOptions): Promise<PrefixRead>;
  /** Whatever becomes of it is an outcome, not an error: see CommitOutcome. */
  commit(transaction: Transaction, options?: CallOptions): Promise<CommitOutcome>;

  /** The server may grant more than was asked for. `ttlMs` is what it granted. */
  grantLease(ttlMs: number, options?: CallOptions): Promise<{ readonly lease: string; readonly ttlMs: number }>;
  /** Resolves with false when the lease has ended. */
  renewLease(lease: string, options?: CallOptions): Promise<boolean>;
  /** Removes its keys at once. A lease that has ended already is fine. */
  revokeLease(lease: string, options?: CallOptions): Promise<void>;

  /**
   * Calls `changed` soon after anything under the prefix changed, and after every loss and return of the connection. A
   * hint without contents: whoever hears it reads (§6.4). It may come late, twice, without a change, or, rarely, not at
   * all; `followPrefix` in `follow-prefix.ts` makes a dependable view of it.
   */
  watch(prefix: string, changed: () => void): Subscription;

  close(): Promise<void>;
}
