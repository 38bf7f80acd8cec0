import type { Comparison, KeyValue, Operation, Transaction } from './coordinator.ts';

/** What one commit, or the end of one lease, did. */
export interface StoreChange {
  readonly revision: number;
  /** The keys written or deleted. */
  readonly keys: readonly string[];
}

/** An immutable copy of everything a store holds, for `restore`. */
export interface StoreSnapshot {
  readonly revision: number;
  readonly entries: ReadonlyMap<string, KeyValue>;
  readonly leases: ReadonlyMap<string, Lease>;
}

interface Lease {
  readonly ttlMs: number;
  /** The moment from which it cannot be renewed any more. */
  readonly expiresAt: number;
}

export interface StoreConfig {
  /** What the server grants at least: etcd derives it from its election timeout. Default 1 s, as at 500 ms. */
  readonly minTtlMs?: number;
}

/**
 * A model of etcd's key-value store: synchronous, without a clock, timers or randomness of its own, so that a simulator
 * may drive it. Moments are milliseconds on any one clock of the caller's. Revisions behave as etcd's do: an empty store
 * is at 1, everything one transaction or one lease's end changes has one revision, and what changes nothing takes none.
 */
export interface Store {
  readonly revision: number;
  get(key: string): KeyValue | undefined;
  /** Keys ascend. */
  range(prefix: string): readonly KeyValue[];
  /**
   * A put bound to a lease that has ended is a conflict: nothing is applied. The revision is the store's afterwards, also
   * when nothing changed. Throws RangeError for a key that is written twice, as etcd refuses it.
   */
  commit(
    transaction: Transaction,
  ): { readonly kind: 'committed'; readonly revision: number } | { readonly kind: 'conflict' };
  /** Whole seconds, rounded up, and not below the minimum. Ids are never used again, not even after `restore`. */
  grantLease(ttlMs: number, nowMs: number): { readonly lease: string; readonly ttlMs: number };
  /** False when the lease has ended, or is past its time and waits for `expire` only: etcd renews no such lease. */
  renewLease(lease: string, nowMs: number): boolean;
  /** Removes the lease and its keys. False when it has ended already. */
  revokeLease(lease: string): boolean;
  /**
   * Ends every lease whose time has passed, each with a revision of its own. etcd does so up to half a second late
   * (replication.md §6.3): the caller models that by giving an earlier moment.
   */
  expire(nowMs: number): void;
  /** When the next lease is due; undefined without leases. */
  nextExpiry(): number | undefined;
  /** What a new leader of etcd does: every lease gets its whole TTL again. */
  extendLeases(nowMs: number): void;
  snapshot(): StoreSnapshot;
  /**
   * Puts an older copy in place, as an operator does who restores a backup: the revision goes back, later writes and
   * leases are gone, and the leases of the copy have their whole TTL again. Listeners hear of every key of either.
   */
  restore(snapshot: StoreSnapshot, nowMs: number): void;
  /** Listeners are called once the change is complete. Returns what ends the subscription. */
  onChange(listener: (change: StoreChange) => void): () => void;
}

/** An empty store. */
export function createStore({ minTtlMs = 1_000 }: StoreConfig = {}): Store {
  let revision = 1;
  let entries = new Map<string, KeyValue>();
  let leases = new Map<string, Lease>();
  let leasesGranted = 0;
  let ordered: readonly KeyValue[] | undefined;
  const listeners = new Set<(change: StoreChange) => void>();

  function tell(keys: readonly string[]): void {
    ordered = undefined;
    for (const listener of [...listeners]) listener({ revision, keys });
  }

  /** Applies what changes something under one revision. */
  function apply(operations: readonly Operation[]): void {
    const effective = operations.filter(operation => 'put' in operation || entries.has(operation.delete));
    if (effective.length === 0) return;
    revision += 1;
    for (const operation of effective) {
      if ('put' in operation) entries.set(operation.put, written(operation));
      else entries.delete(operation.delete);
    }
    tell(effective.map(keyOf));
  }

  function written({ put: key, value, lease }: Extract<Operation, { put: string }>): KeyValue {
    const createRevision = entries.get(key)?.createRevision ?? revision;
    return { key, value, createRevision, modRevision: revision, ...(lease === undefined ? {} : { lease }) };
  }

  function revokeLease(lease: string): boolean {
    if (!leases.delete(lease)) return false;
    apply([...entries.values()].filter(entry => entry.lease === lease).map(entry => ({ delete: entry.key })));
    return true;
  }

  function extendLeases(nowMs: number): void {
    for (const [lease, { ttlMs }] of leases) leases.set(lease, { ttlMs, expiresAt: nowMs + ttlMs });
  }

  return {
    get revision() {
      return revision;
    },
    get: key => entries.get(key),
    range(prefix) {
      ordered ??= [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
      return ordered.filter(entry => entry.key.startsWith(prefix));
    },
    commit({ compare, operations }) {
      refuseRepeats(operations);
      if (!compare.every(comparison => holds(comparison, entries))) return { kind: 'conflict' };
      const bound = operations.flatMap(operation => ('put' in operation ? (operation.lease ?? []) : []));
      if (!bound.every(lease => leases.has(lease))) return { kind: 'conflict' };
      apply(operations);
      return { kind: 'committed', revision };
    },
    grantLease(askedMs, nowMs) {
      leasesGranted += 1;
      const lease = String(leasesGranted);
      const ttlMs = Math.max(Math.ceil(askedMs / 1_000) * 1_000, minTtlMs);
      leases.set(lease, { ttlMs, expiresAt: nowMs + ttlMs });
      return { lease, ttlMs };
    },
    renewLease(lease, nowMs) {
      const found = leases.get(lease);
      if (found === undefined || found.expiresAt <= nowMs) return false;
      leases.set(lease, { ttlMs: found.ttlMs, expiresAt: nowMs + found.ttlMs });
      return true;
    },
    revokeLease,
    expire(nowMs) {
      for (const [lease, { expiresAt }] of [...leases]) if (expiresAt <= nowMs) revokeLease(lease);
    },
    nextExpiry() {
      let next: number | undefined;
      for (const { expiresAt } of leases.values()) if (next === undefined || expiresAt < next) next = expiresAt;
      return next;
    },
    extendLeases,
    snapshot: () => ({ revision, entries: new Map(entries), leases: new Map(leases) }),
    restore(snapshot, nowMs) {
      const keys = [...new Set([...entries.keys(), ...snapshot.entries.keys()])];
      revision = snapshot.revision;
      entries = new Map(snapshot.entries);
      leases = new Map(snapshot.leases);
      extendLeases(nowMs);
      tell(keys);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** Throws RangeError where a transaction writes a key twice. */
export function refuseRepeats(operations: readonly Operation[]): void {
  const keys = operations.map(keyOf);
  if (new Set(keys).size < keys.length) throw new RangeError(`a transaction writes a key twice: ${keys.join(', ')}`);
}

function keyOf(operation: Operation): string {
  return 'put' in operation ? operation.put : operation.delete;
}

function holds(comparison: Comparison, entries: ReadonlyMap<string, KeyValue>): boolean {
  const entry = entries.get(comparison.key);
  if ('is' in comparison) return entry === undefined;
  // A revision of 0 is etcd's word for an absent key.
  if ('modRevision' in comparison) return (entry?.modRevision ?? 0) === comparison.modRevision;
  return (entry?.createRevision ?? 0) === comparison.createRevision;
}
