import type { Logger } from 'pino';
import { z } from 'zod';
import type { Clock } from '../lifecycle/clock.ts';
import { coalesce } from './coalesce.ts';
import type { Coordinator, KeyValue, Transaction } from './coordinator.ts';
import { type Sleep, systemSleep } from './sleep.ts';

export interface RegistrationConfig {
  readonly key: string;
  /** One life of the process. The value says it in its field `session`, so that others and this one recognise it. */
  readonly session: string;
  /** The record as it should stand, JSON. Asked at every look. */
  value(): string;
  /** Milliseconds; renewed every quarter, trusted for three. Default 2 000. */
  readonly ttlMs?: number;
}

/** One process's presence in the store: a key bound to a lease of its own (replication.md §6.3). */
export interface Registration {
  /**
   * Whether the key stands, as far as this process may trust that: three quarters of the TTL from the moment at which the
   * last successful renewal was sent.
   */
  isValid(): boolean;
  /** For the comparison every write of this process carries. Undefined unless valid. */
  createRevision(): number | undefined;
  /** The session that holds the key and is waited for. */
  blockedBy(): string | undefined;
  /** Writes the record now if it differs from `value()`. False when that cannot be said to have succeeded. */
  update(): Promise<boolean>;
  /** From now on a key of that session is deleted: its process is known to be dead, by the lock it no longer holds. */
  replaceSession(session: string): Promise<void>;
  /** Ends the lease and with it the key, as far as the store can be reached. Idempotent. */
  release(): Promise<void>;
}

interface Lease {
  readonly id: string;
  readonly trustedMs: number;
  /** When its grant or its last successful renewal was sent. */
  renewedAt: number;
}

/** The key as this process left it. */
interface Standing {
  readonly lease: Lease;
  readonly value: string;
  readonly modRevision: number;
}

const ATTEMPTS = 3;

/**
 * Registers and stays registered until released. The key is created only where there is none: while another session
 * holds it, this one waits, so that of two processes with one id only one counts. Renewals go their own way, so that slow
 * reads and writes of the record do not delay them. A registration that could not be renewed in time is begun anew, with
 * another lease, even if the old one should still stand.
 */
export function register(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly sleep?: Sleep },
  coordinator: Coordinator,
  config: RegistrationConfig,
): Registration {
  const { logger, clock, sleep = systemSleep } = deps;
  const { key, session, ttlMs = 2_000 } = config;
  const closing = new AbortController();
  const { signal } = closing;
  const replaceable = new Set<string>();
  let lease: Lease | undefined;
  let createRevision: number | undefined;
  let blockedBy: string | undefined;
  /** What this process wrote last, while nobody is known to have touched it since. */
  let standing: Standing | undefined;
  let releasing: Promise<void> | undefined;

  function isTrusted(held: Lease | undefined): held is Lease {
    return held !== undefined && clock.monotonic() < held.renewedAt + held.trustedMs;
  }

  function forget(reason: string): void {
    if (createRevision !== undefined) logger.warn({ key, reason }, 'registration lost');
    lease = undefined;
    createRevision = undefined;
    standing = undefined;
  }

  /** The lease to write with: the one there is, or a new one. */
  async function holdLease(): Promise<Lease> {
    if (lease !== undefined && !isTrusted(lease)) forget('not renewed in time');
    if (lease !== undefined) return lease;
    const renewedAt = clock.monotonic();
    const granted = await coordinator.grantLease(ttlMs, { signal });
    // A server that grants more keeps the key longer; what may be trusted stays what the other limits are derived from.
    lease = { id: granted.lease, trustedMs: Math.min(ttlMs, granted.ttlMs) * 0.75, renewedAt };
    return lease;
  }

  async function renew(): Promise<void> {
    if (!isTrusted(lease)) return;
    const held = lease;
    const sentAt = clock.monotonic();
    const stands = await coordinator.renewLease(held.id, { signal });
    if (stands) held.renewedAt = sentAt;
    else if (lease === held) {
      forget('the lease has ended');
      void look();
    }
  }

  /** Reads the key and does what is missing; true when the record stands as it should. */
  async function settle(): Promise<boolean> {
    for (let attempt = 1; attempt <= ATTEMPTS && !signal.aborted; attempt += 1) {
      const held = await holdLease();
      const { entries } = await coordinator.read(key, { signal });
      const entry = entries.find(found => found.key === key);
      const value = config.value();
      const isOurs = entry !== undefined && entry.lease === held.id;
      if (!isOurs && createRevision !== undefined && lease === held) {
        logger.warn({ key }, 'the registered key is gone');
        createRevision = undefined;
      }
      const owner = entry === undefined ? undefined : sessionOf(entry.value);
      blockedBy = owner === session || owner === undefined || replaceable.has(owner) ? undefined : owner;
      if (isOurs && lease === held) {
        createRevision = entry.createRevision;
        standing = { lease: held, value: entry.value, modRevision: entry.modRevision };
      }
      if (isOurs && entry.value === value) return true;
      const next = step(entry, owner, { put: key, value, lease: held.id });
      if (next === undefined) return false;
      const outcome = await coordinator.commit(next, { signal });
      if (outcome.kind === 'unavailable') return false;
      // Whatever else happened, the next reading shows it, with the revision at which the key was created.
    }
    return false;
  }

  /** One round trip instead of three, for a key that stands as it was left. Undefined where it may not, or needs nothing. */
  function overwrite(): Promise<boolean> | undefined {
    const known = standing;
    if (known === undefined || known.lease !== lease || !isTrusted(lease) || createRevision === undefined)
      return undefined;
    const value = config.value();
    return known.value === value ? undefined : put(known, value, createRevision);
  }

  async function put({ lease: mine, modRevision }: Standing, value: string, created: number): Promise<boolean> {
    standing = undefined;
    const compare = [
      { key, modRevision },
      { key, createRevision: created },
    ];
    const operations = [{ put: key, value, lease: mine.id }];
    const outcome = await coordinator.commit({ compare, operations }, { signal });
    if (outcome.kind !== 'committed') return settle();
    standing = { lease: mine, value, modRevision: outcome.revision };
    return true;
  }

  function step(
    entry: KeyValue | undefined,
    owner: string | undefined,
    put: Transaction['operations'][number],
  ): Transaction | undefined {
    if (entry === undefined) return { compare: [{ key, is: 'absent' }], operations: [put] };
    const compare = [
      { key, modRevision: entry.modRevision },
      { key, createRevision: entry.createRevision },
    ];
    // Its own, of this lease or of one before: others then see no gap.
    if (owner === session) return { compare, operations: [put] };
    // Not overwritten: with the creation revision what the dead process may still have under way would pass as well.
    if (owner !== undefined && replaceable.has(owner)) return { compare, operations: [{ delete: key }] };
    return undefined;
  }

  const look = coalesce(async (): Promise<boolean> => {
    try {
      return await (overwrite() ?? settle());
    } catch (error) {
      if (!signal.aborted) logger.debug({ key, err: error }, 'registration not looked after');
      return false;
    }
  });

  async function every(work: () => Promise<unknown>): Promise<void> {
    while (!signal.aborted) {
      const begun = clock.monotonic();
      await work();
      await sleep(Math.max(ttlMs / 4 - (clock.monotonic() - begun), 10), signal);
    }
  }

  const renewals = every(() =>
    renew().catch(error => {
      if (!signal.aborted) logger.debug({ key, err: error }, 'lease not renewed');
    }),
  );
  const looks = every(look);

  return {
    isValid: () => createRevision !== undefined && isTrusted(lease),
    createRevision: () => (isTrusted(lease) ? createRevision : undefined),
    blockedBy: () => blockedBy,
    update: look,
    async replaceSession(dead) {
      if (dead === session) throw new RangeError('a process does not replace itself');
      replaceable.add(dead);
      await look();
    },
    release() {
      releasing ??= (async () => {
        const held = lease;
        closing.abort();
        createRevision = undefined;
        await Promise.all([renewals, looks]);
        // One granted in the last moment.
        const last = lease ?? held;
        lease = undefined;
        if (last === undefined) return;
        await coordinator
          .revokeLease(last.id)
          .catch(error => logger.info({ key, err: error }, 'lease not revoked: it ends by itself'));
      })();
      return releasing;
    },
  };
}

const recordSchema = z.looseObject({ session: z.string() });

/** Undefined for a value that is nobody's record: then nobody may replace it, and its lease must end. */
function sessionOf(value: string): string | undefined {
  try {
    return recordSchema.parse(JSON.parse(value)).session;
  } catch {
    return undefined;
  }
}
