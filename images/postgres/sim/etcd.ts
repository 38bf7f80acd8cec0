import type { CommitOutcome, Coordinator, PrefixRead, Transaction } from '../../../lib/coordinator/coordinator.ts';
import { createStore, type Store, type StoreSnapshot } from '../../../lib/coordinator/store.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';
import type { Life, Scheduler } from './scheduler.ts';

const HOST = 'etcd';
const DEADLINE_MS = 300;
/** What etcd takes to notice that a lease has ended (replication.md appendix C, C11). */
const LEASE_LATENESS_MS = 480;
const SWEEP_MS = 100;

/**
 * etcd as its clients meet it: one linearizable store behind delays. A reply may be lost, with the transaction applied or
 * not or applied seconds later; a watch may miss an event; a new leader extends every lease; an operator may restore an
 * older snapshot (replication.md §6.3, §6.4, §6.8).
 */
export class EtcdModel {
  readonly store: Store = createStore();
  readonly #scheduler: Scheduler;
  readonly #network: Network;
  readonly #random: Random;
  readonly #watchers = new Set<{ host: string; life: Life; prefix: string; changed: () => void }>();
  #isUp = true;
  /** How often a reply is lost, or an event of a watch. */
  lossRate = 0;
  /** Every transaction is applied so much later, and its client hears of no end. 0: at once. */
  lateMs = 0;
  /** What one call takes inside etcd at most. */
  slownessMs = 2;

  constructor(scheduler: Scheduler, network: Network, random: Random) {
    this.#scheduler = scheduler;
    this.#network = network;
    this.#random = random;
    this.store.onChange(({ keys }) => {
      for (const watcher of this.#watchers) if (keys.some(key => key.startsWith(watcher.prefix))) this.#tell(watcher);
    });
    this.#sweep();
  }

  /** Without a quorum nothing is answered, and leases do not end. */
  stop(): void {
    this.#isUp = false;
  }

  start(): void {
    this.#isUp = true;
    this.store.extendLeases(this.#scheduler.now);
    for (const watcher of this.#watchers) this.#tell(watcher);
  }

  /** A new leader about a second later. */
  changeLeader(): void {
    this.stop();
    this.#scheduler.after(this.#random.between(500, 1_200), () => this.start());
  }

  snapshot(): StoreSnapshot {
    return this.store.snapshot();
  }

  restore(snapshot: StoreSnapshot): void {
    this.store.restore(snapshot, this.#scheduler.now);
  }

  /** A client on a host. It ends with its life. */
  client(host: string, life: Life): Coordinator {
    const unavailable = (what: string) => new MantaError('CoordinatorUnavailable', `etcd does not answer a ${what}`);
    const ask = <Value>(what: string, compute: () => Value) =>
      this.#call(host, life, compute).then(reply => {
        if (reply.kind === 'answer') return reply.value;
        throw unavailable(what);
      });
    return {
      read: prefix => {
        const sentAt = life.now();
        return ask('read', (): PrefixRead => {
          return { revision: this.store.revision, entries: this.store.range(prefix), sentAt };
        });
      },
      commit: transaction => this.#commit(host, life, transaction),
      grantLease: ttlMs => ask('grant', () => this.store.grantLease(ttlMs, this.#scheduler.now)),
      renewLease: lease => ask('renewal', () => this.store.renewLease(lease, this.#scheduler.now)),
      revokeLease: lease => ask('revocation', () => void this.store.revokeLease(lease)),
      watch: (prefix, changed) => {
        const watcher = { host, life, prefix, changed };
        this.#watchers.add(watcher);
        return { close: () => void this.#watchers.delete(watcher) };
      },
      close: async () => {},
    };
  }

  /** Forgets the watches of lives that are over. */
  forget(life: Life): void {
    for (const watcher of this.#watchers) if (watcher.life === life) this.#watchers.delete(watcher);
  }

  async #commit(host: string, life: Life, transaction: Transaction): Promise<CommitOutcome> {
    // A client without a connection knows that nothing was sent; one whose connection just broke does not.
    if (!this.#isUp && this.#random.chance(0.5)) {
      return life.call(1, () => ({ kind: 'unavailable', message: 'no endpoint' }));
    }
    const reply = await this.#call(host, life, () => this.store.commit(transaction), this.lateMs);
    return reply.kind === 'answer' ? reply.value : { kind: 'unknown', message: 'no reply within the deadline' };
  }

  /** The request, the work, the reply: each may fail to happen, and the work may happen long after the client gave up. */
  #call<Value>(
    host: string,
    life: Life,
    compute: () => Value,
    lateMs = 0,
  ): Promise<{ kind: 'answer'; value: Value } | { kind: 'none' }> {
    return life.promise(settle => {
      const isLost = this.#random.chance(this.lossRate);
      const isLate = isLost && this.#random.chance(0.5);
      const worksFor =
        this.#random.between(0.2, this.slownessMs) + (isLate ? this.#random.between(100, 4_000) : 0) + lateMs;
      this.#network.send(host, HOST, () => {
        this.#scheduler.after(worksFor, () => {
          if (!this.#isUp) return;
          const value = compute();
          if (!isLost) this.#network.send(HOST, host, () => settle.resolve({ kind: 'answer', value }));
        });
      });
      life.after(DEADLINE_MS, () => settle.resolve({ kind: 'none' }));
    });
  }

  #tell(watcher: { host: string; life: Life; changed: () => void }): void {
    if (!this.#isUp || this.#random.chance(this.lossRate)) return;
    this.#network.send(HOST, watcher.host, () =>
      watcher.life.run(() => {
        this.#scheduler.settled();
        watcher.changed();
      }),
    );
  }

  #sweep(): void {
    this.#scheduler.after(SWEEP_MS, () => {
      if (this.#isUp) this.store.expire(this.#scheduler.now - LEASE_LATENESS_MS);
      this.#sweep();
    });
  }
}
