import type { Uuid } from '../metadata/types.ts';
import type { LoadedAccount } from './account-store.ts';
import type { AccountView } from './types.ts';

/** When the database was asked for what a view shows. */
export interface Confirmation {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  /** The listening epoch then: in a later one, announcements may have been missed. */
  readonly epoch: number;
}

/** A view in the cache. */
export interface Held {
  readonly view: AccountView;
  readonly rev: bigint;
  readonly confirmed: Confirmation;
  /** Monotonic milliseconds. */
  usedAtMs: number;
  /** A comparison with the database under way; later requests share it. */
  checking?: Promise<AccountView | undefined>;
}

/**
 * At most `maxViews` views by uuid and by login; the longest unused goes first. A newer revision is never replaced by an
 * older one. Knows nothing of time or of the database.
 */
export class ViewCache {
  readonly #maxViews: number;
  /** In order of use, the longest unused first. */
  readonly #held = new Map<Uuid, Held>();
  readonly #logins = new Map<string, Uuid>();

  constructor(config: { readonly maxViews: number }) {
    this.#maxViews = config.maxViews;
  }

  get size(): number {
    return this.#held.size;
  }

  byUuid(uuid: Uuid): Held | undefined {
    return this.#held.get(uuid);
  }

  byLogin(login: string): Held | undefined {
    const uuid = this.#logins.get(login);
    return uuid === undefined ? undefined : this.#held.get(uuid);
  }

  /** Marks it as used now, which makes it the last to go. */
  use(entry: Held, nowMs: number): void {
    entry.usedAtMs = nowMs;
    this.#held.delete(entry.view.uuid);
    this.#held.set(entry.view.uuid, entry);
  }

  keep({ view, rev }: LoadedAccount, confirmed: Confirmation, nowMs: number): void {
    const before = this.#held.get(view.uuid);
    if (before !== undefined && before.rev > rev) return;
    this.drop(view.uuid);
    this.#held.set(view.uuid, { view, rev, confirmed, usedAtMs: nowMs });
    this.#logins.set(view.login, view.uuid);
    const oldest = this.#held.keys().next().value;
    if (this.#held.size > this.#maxViews && oldest !== undefined) this.drop(oldest);
  }

  drop(uuid: Uuid): void {
    const entry = this.#held.get(uuid);
    if (entry === undefined) return;
    this.#held.delete(uuid);
    if (this.#logins.get(entry.view.login) === uuid) this.#logins.delete(entry.view.login);
  }

  /** Milliseconds since the confirmation of the oldest view that was used within the last `windowMs`; 0 when none was. */
  oldestInUseMs(nowMs: number, windowMs: number): number {
    let oldestMs = 0;
    for (const entry of this.#held.values()) {
      if (nowMs - entry.usedAtMs <= windowMs) oldestMs = Math.max(oldestMs, nowMs - entry.confirmed.atMs);
    }
    return oldestMs;
  }
}
