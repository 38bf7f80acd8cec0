import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { CommitOutcome, Coordinator } from './coordinator.ts';
import type { Reply } from './reply.ts';
import { type Sleep, systemSleep } from './sleep.ts';
import { refuseRepeats, type Store } from './store.ts';

/**
 * What befalls a call. `refused`: nobody listens, known at once. `request-lost`: it never arrives, and the caller learns
 * nothing. `reply-lost`: it is carried out, and the caller learns nothing.
 */
export type MemoryFault = 'none' | 'refused' | 'request-lost' | 'reply-lost';

export type MemoryOperation = 'read' | 'commit' | 'grantLease' | 'renewLease' | 'revokeLease';

/** The network between one client and the store; to be changed at any time. */
export interface MemoryFaults {
  /** Asked for every call. Default: none. */
  befall: (operation: MemoryOperation) => MemoryFault;
  /** Milliseconds from the call to its arrival. A caller that gave up meanwhile does not stop it. */
  delayMs: number;
  /** While true, watches hear of no change. */
  watchIsSilent: boolean;
  /** What the loss and the return of the connection do: every watch is given its hint. */
  reconnect(): void;
}

export interface MemoryCoordinator extends Coordinator {
  readonly faults: MemoryFaults;
}

/** Milliseconds by which etcd ends a lease late (replication.md §6.3). */
export const EXPIRY_LATE_MS = 480;

/**
 * One client of a store that may have several, all in this process. Leases end by `clock`, as late as etcd's: whatever
 * arrives finds those ended that are due, and whoever lets time pass calls `store.expire` for the watches' sake.
 */
export function createMemoryCoordinator(
  deps: { readonly store: Store; readonly clock: Clock; readonly sleep?: Sleep },
  { deadlineMs = 300 }: { readonly deadlineMs?: number } = {},
): MemoryCoordinator {
  const { store, clock, sleep = systemSleep } = deps;
  const watches = new Map<object, { readonly prefix: string; readonly changed: () => void }>();
  const closing = new AbortController();
  const faults: MemoryFaults = {
    befall: () => 'none',
    delayMs: 0,
    watchIsSilent: false,
    reconnect: () => hint(() => true),
  };
  const unsubscribe = store.onChange(({ keys }) => {
    if (!faults.watchIsSilent) hint(prefix => keys.some(key => key.startsWith(prefix)));
  });

  /** Later than the change, as over a network; to whom is decided now. */
  function hint(concerns: (prefix: string) => boolean): void {
    for (const [id, { prefix, changed }] of watches)
      if (concerns(prefix))
        queueMicrotask(() => {
          if (watches.has(id)) changed();
        });
  }

  async function call<T>(operation: MemoryOperation, apply: () => T, signal?: AbortSignal): Promise<Reply<T>> {
    const fault = faults.befall(operation);
    if (fault === 'refused' || closing.signal.aborted || signal?.aborted === true)
      return { kind: 'unsent', message: 'the store was not reached' };
    let given: AbortSignal = closing.signal;
    if (signal !== undefined) given = AbortSignal.any([signal, closing.signal]);
    const over = new AbortController();
    const silence = (async (): Promise<Reply<T>> => {
      await Promise.race([sleep(deadlineMs, over.signal), aborted(given, over.signal)]);
      return { kind: 'unanswered', message: 'no answer within the deadline' };
    })();
    const answer = (async (): Promise<Reply<T>> => {
      await (faults.delayMs > 0 ? sleep(faults.delayMs) : Promise.resolve());
      if (fault === 'request-lost') return silence;
      store.expire(clock.monotonic() - EXPIRY_LATE_MS);
      const value = apply();
      return fault === 'reply-lost' ? silence : { kind: 'answered', value };
    })();
    try {
      return await Promise.race([answer, silence]);
    } finally {
      over.abort();
    }
  }

  async function demand<T>(operation: MemoryOperation, apply: () => T, signal?: AbortSignal): Promise<T> {
    const reply = await call(operation, apply, signal);
    if (reply.kind === 'answered') return reply.value;
    throw new MantaError('CoordinatorUnavailable', reply.message, { cause: signal?.reason });
  }

  return {
    faults,
    read(prefix, { signal } = {}) {
      const sentAt = clock.monotonic();
      return demand('read', () => ({ revision: store.revision, entries: store.range(prefix), sentAt }), signal);
    },
    async commit(transaction, { signal } = {}): Promise<CommitOutcome> {
      refuseRepeats(transaction.operations);
      const reply = await call('commit', () => store.commit(transaction), signal);
      if (reply.kind === 'answered') return reply.value;
      return { kind: reply.kind === 'unanswered' ? 'unknown' : 'unavailable', message: reply.message };
    },
    grantLease: (ttlMs, { signal } = {}) =>
      demand('grantLease', () => store.grantLease(ttlMs, clock.monotonic()), signal),
    renewLease: (lease, { signal } = {}) =>
      demand('renewLease', () => store.renewLease(lease, clock.monotonic()), signal),
    async revokeLease(lease, { signal } = {}) {
      await demand('revokeLease', () => store.revokeLease(lease), signal);
    },
    watch(prefix, changed) {
      const id = {};
      watches.set(id, { prefix, changed });
      hint(watched => watched === prefix);
      return { close: () => void watches.delete(id) };
    },
    async close() {
      closing.abort();
      watches.clear();
      unsubscribe();
    },
  };
}

/** Resolves when `given` aborts; `over` withdraws the listener. */
function aborted(given: AbortSignal, over: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (given.aborted) resolve();
    given.addEventListener('abort', () => resolve(), { once: true, signal: over });
  });
}
