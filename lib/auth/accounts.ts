import type { Logger } from 'pino';
import type { Counter, Registry } from 'prom-client';
import { z } from 'zod';
import { createListener, type Listener, listenerDefaults } from '../database/listener.ts';
import type { DatabaseTarget } from '../database/moving-target.ts';
import type { Pool } from '../database/pool.ts';
import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { Uuid } from '../metadata/types.ts';
import { registerAccountMetrics } from './account-metrics.ts';
import { LOGIN, UUID } from './account-rules.ts';
import { type AccountName, loadAccount, loadRev } from './account-store.ts';
import type { Accounts, AccountView } from './types.ts';
import { type Confirmation, type Held, ViewCache } from './view-cache.ts';

/** The figures of auth.md §13.3. */
export const accountsSchema = z.strictObject({
  /** Accounts kept, least recently used out first. */
  maxViews: z.int().min(1).default(10_000),
  /** Loads from the database under way at once; a look-up that would need one more is ServiceUnavailable. */
  maxLoads: z.int().min(1).default(1_000),
  /** Milliseconds after which a view is compared with the database before it is used again. */
  revalidateMs: z.int().min(1).default(60_000),
  /** Milliseconds for which a confirmed view goes on serving while the database is away. */
  graceMs: z.int().min(1).default(900_000),
  /** Milliseconds a look-up waits for the database. */
  deadlineMs: z.int().min(1).default(3_000),
  /** Milliseconds between comparisons while the database does not answer: requests do not queue up behind an outage. */
  retryMs: z.int().min(1).default(1_000),
});
/** The checked configuration of the cache. */
export type AccountsConfig = z.output<typeof accountsSchema>;

/** What the cache stands on. */
export interface AccountsDeps {
  /** Of the control database, as a role that may execute the functions of `migrations`. */
  readonly pool: Pool;
  /** The same database, for the connection that hears of changes. */
  readonly target: DatabaseTarget;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Registry;
  /** The `<program>` of metric names. */
  readonly program: string;
}

/**
 * The accounts of the control database, cached as auth.md §13.3 says: filled on demand by one load at a time, dropped
 * when the database announces a change, compared by revision after a minute or after announcements may have been
 * missed, and served for a quarter of an hour from the last comparison while the database is away. After that, and for
 * accounts not cached, look-ups throw MantaError `ServiceUnavailable`. Views are immutable and may be held.
 */
export function createAccounts(deps: AccountsDeps, config: AccountsConfig): Accounts {
  return new CachedAccounts(deps, config);
}

interface Load {
  readonly name: AccountName;
  readonly id: string;
  /** Accounts that changed while it was under way: its result may be from before. */
  readonly changed: Set<string>;
  readonly result: Promise<AccountView | undefined>;
}

class CachedAccounts implements Accounts {
  readonly #deps: AccountsDeps;
  readonly #config: AccountsConfig;
  readonly #cache: ViewCache;
  readonly #listener: Listener;
  readonly #queries: Counter<'result'>;
  readonly #loads = new Set<Load>();
  /** Those of `#loads` that a later request may still share. */
  readonly #joinable = new Map<string, Load>();
  /** Moves whenever announcements may have been missed. */
  #epoch = 0;
  /** Monotonic times of the last answer and, until the next answer, of the last failure. */
  #answeredAtMs: number | undefined;
  #failedAtMs: number | undefined;
  #asking = 0;

  constructor(deps: AccountsDeps, config: AccountsConfig) {
    this.#deps = deps;
    this.#config = config;
    this.#cache = new ViewCache(config);
    this.#queries = registerAccountMetrics(deps.metrics, deps.program, {
      cached: () => this.#cache.size,
      loading: () => this.#loads.size,
      oldestViewS: () => this.#cache.oldestInUseMs(this.#nowMs(), config.revalidateMs) / 1000,
    });
    this.#listener = createListener(
      deps,
      deps.target,
      { ...listenerDefaults, channel: 'manta_auth' },
      {
        notified: uuid => this.#forget(uuid),
        connected: () => {
          this.#epoch += 1;
          this.#answered();
        },
        alive: () => this.#answered(),
        lost: () => {
          this.#epoch += 1;
        },
      },
    );
  }

  async byLogin(login: string): Promise<AccountView | undefined> {
    if (!LOGIN.test(login)) return undefined;
    const entry = this.#cache.byLogin(login);
    if (entry === undefined) return this.#load({ kind: 'login', login });
    const view = await this.#serve(entry);
    // The comparison may have found it renamed, and its login free or given to another.
    return view?.login === login ? view : this.#load({ kind: 'login', login });
  }

  async byUuid(uuid: Uuid): Promise<AccountView | undefined> {
    if (!UUID.test(uuid)) return undefined;
    const entry = this.#cache.byUuid(uuid);
    return entry === undefined ? this.#load({ kind: 'uuid', uuid }) : this.#serve(entry);
  }

  /** False before the first contact with the database, and when not even the grace period allows an answer any more. */
  isAvailable(): boolean {
    return this.#answeredAtMs !== undefined && this.#nowMs() - this.#answeredAtMs <= this.#config.graceMs;
  }

  async close(): Promise<void> {
    await this.#listener.close();
    await Promise.allSettled([...this.#loads].map(load => load.result));
  }

  #load(name: AccountName): Promise<AccountView | undefined> {
    const id = name.kind === 'login' ? `login ${name.login}` : `uuid ${name.uuid}`;
    const shared = this.#joinable.get(id);
    if (shared !== undefined) return shared.result;
    if (this.#loads.size >= this.#config.maxLoads) return Promise.reject(unavailable());
    const changed = new Set<string>();
    const result = this.#loadAndKeep(name, changed).finally(() => {
      this.#loads.delete(load);
      this.#leave(load);
    });
    const load: Load = { name, id, changed, result };
    this.#loads.add(load);
    this.#joinable.set(id, load);
    return result;
  }

  async #loadAndKeep(name: AccountName, changed: ReadonlySet<string>): Promise<AccountView | undefined> {
    const asked = this.#confirmation();
    const loaded = await this.#ask(() => loadAccount(this.#deps.pool, name, this.#config.deadlineMs));
    if (loaded !== undefined && !changed.has(loaded.view.uuid)) this.#cache.keep(loaded, asked, this.#nowMs());
    return loaded?.view;
  }

  async #serve(entry: Held): Promise<AccountView | undefined> {
    this.#cache.use(entry, this.#nowMs());
    const { atMs, epoch } = entry.confirmed;
    if (epoch === this.#epoch && this.#nowMs() - atMs < this.#config.revalidateMs) return entry.view;
    if (this.#isAway()) return this.#unconfirmed(entry, unavailable());
    entry.checking ??= this.#check(entry).finally(() => {
      delete entry.checking;
    });
    return entry.checking;
  }

  /** Compares revisions. A view that was dropped meanwhile is good for those who asked before, and for nobody later. */
  async #check(entry: Held): Promise<AccountView | undefined> {
    const { uuid } = entry.view;
    const asked = this.#confirmation();
    let rev: bigint | undefined;
    try {
      rev = await this.#ask(() => loadRev(this.#deps.pool, uuid, this.#config.deadlineMs));
    } catch (error) {
      return this.#unconfirmed(entry, error);
    }
    const isHeld = this.#cache.byUuid(uuid) === entry;
    if (rev === entry.rev) {
      if (isHeld) this.#cache.keep(entry, asked, this.#nowMs());
      return entry.view;
    }
    if (isHeld) this.#cache.drop(uuid);
    return this.#load({ kind: 'uuid', uuid });
  }

  #unconfirmed(entry: Held, error: unknown): AccountView {
    if (this.#nowMs() - entry.confirmed.atMs <= this.#config.graceMs) return entry.view;
    throw error;
  }

  /** An announced change: whatever was read before it is outdated. */
  #forget(uuid: string): void {
    this.#cache.drop(uuid as Uuid);
    for (const load of this.#loads) {
      if (load.name.kind === 'uuid' && load.name.uuid !== uuid) continue;
      // A load by login may be of this account or another: its result will tell, but nobody joins it any more.
      load.changed.add(uuid);
      this.#leave(load);
    }
  }

  #leave(load: Load): void {
    if (this.#joinable.get(load.id) === load) this.#joinable.delete(load.id);
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    this.#asking += 1;
    try {
      const answer = await question();
      this.#answered();
      this.#queries.inc({ result: 'answered' });
      return answer;
    } catch (cause) {
      this.#failedAtMs = this.#nowMs();
      this.#queries.inc({ result: 'failed' });
      throw unavailable(cause);
    } finally {
      this.#asking -= 1;
    }
  }

  /** While the database does not answer, one request at a time finds out whether it does again. */
  #isAway(): boolean {
    if (this.#failedAtMs === undefined) return false;
    return this.#asking > 0 || this.#nowMs() - this.#failedAtMs < this.#config.retryMs;
  }

  #answered(): void {
    this.#answeredAtMs = this.#nowMs();
    this.#failedAtMs = undefined;
  }

  #confirmation(): Confirmation {
    return { atMs: this.#nowMs(), epoch: this.#epoch };
  }

  #nowMs(): number {
    return this.#deps.clock.monotonic();
  }
}

function unavailable(cause?: unknown): MantaError {
  return new MantaError('ServiceUnavailable', 'manta is unable to serve this request', { cause });
}
