import type { Logger } from 'pino';
import type { Clock } from '../lifecycle/clock.ts';
import { coalesce } from './coalesce.ts';
import type { Coordinator, PrefixRead, Subscription } from './coordinator.ts';
import { type Sleep, systemSleep } from './sleep.ts';

/** A read as the view has it. */
export interface FollowedRead extends PrefixRead {
  /**
   * The store went back behind what the view had seen, as it does when an old backup is restored. It stays with the read
   * until the contents change again.
   */
  readonly wentBack: boolean;
}

/** A dependable view of a prefix, whatever becomes of the watch (replication.md §6.4). */
export interface PrefixView {
  /** The newest read; undefined before the first. */
  current(): FollowedRead | undefined;
  /** Called for every change of the contents under the prefix, with what `current` says from then on. A listener does not throw. */
  onChange(listener: (read: FollowedRead) => void): Subscription;
  /** Monotonic milliseconds at which the last successful read was sent; undefined before the first. */
  readonly lastSuccessAt: number | undefined;
  /** A linearizable read that is sent after this call. Throws MantaError `CoordinatorUnavailable`. */
  refresh(): Promise<FollowedRead>;
  /** Ends the watch and the reads; resolves when nothing runs any more. Idempotent. */
  close(): Promise<void>;
}

/**
 * Reads the whole prefix at once, after each hint of the watch, and every `rereadMs` anyway; after a failed read four
 * times as often. At most one read is under way.
 */
export function followPrefix(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly sleep?: Sleep },
  coordinator: Coordinator,
  prefix: string,
  { rereadMs = 1_000 }: { readonly rereadMs?: number } = {},
): PrefixView {
  const { logger, sleep = systemSleep } = deps;
  const closing = new AbortController();
  const listeners = new Set<(read: FollowedRead) => void>();
  let current: FollowedRead | undefined;
  let succeeded = true;

  const refresh = coalesce(async (): Promise<FollowedRead> => {
    const read = await coordinator.read(prefix, { signal: closing.signal });
    const isNews = current === undefined || !isSame(current, read);
    // Reads follow one another and each is linearizable: a lower revision is no latecomer.
    const wentBack = isNews ? current !== undefined && isOlder(read, current) : current?.wentBack === true;
    current = { ...read, wentBack };
    if (isNews) for (const listener of [...listeners]) listener(current);
    return current;
  });

  /** Says once that reads fail, and once that they succeed again. */
  async function attempt(): Promise<void> {
    const succeeds = await refresh().then(
      () => true,
      error => {
        if (succeeded && !closing.signal.aborted) logger.warn({ prefix, err: error }, 'coordination store unavailable');
        return false;
      },
    );
    if (succeeds && !succeeded) logger.info({ prefix }, 'coordination store answers again');
    succeeded = succeeds;
  }

  const watch = coordinator.watch(prefix, () => void attempt());
  const loop = (async () => {
    while (!closing.signal.aborted) {
      await attempt();
      await sleep(succeeded ? rereadMs : rereadMs / 4, closing.signal);
    }
  })();

  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener);
      return { close: () => void listeners.delete(listener) };
    },
    get lastSuccessAt() {
      return current?.sentAt;
    },
    refresh,
    async close() {
      closing.abort();
      listeners.clear();
      watch.close();
      await loop;
    },
  };
}

function isSame(a: PrefixRead, b: PrefixRead): boolean {
  if (a.entries.length !== b.entries.length || a.revision > b.revision) return false;
  return a.entries.every((entry, index) => {
    const other = b.entries[index];
    return other?.key === entry.key && other.modRevision === entry.modRevision && other.value === entry.value;
  });
}

/**
 * Whether a later read shows an older store. The revision alone does not say so when the restored store has been written
 * to since: a key whose revision fell does, and so does other contents at the same revision.
 */
function isOlder(read: PrefixRead, before: PrefixRead): boolean {
  if (read.revision <= before.revision) return true;
  const known = new Map(before.entries.map(entry => [entry.key, entry.modRevision]));
  return read.entries.some(entry => {
    const revision = known.get(entry.key);
    return entry.modRevision < (revision ?? 0) || (revision === undefined && entry.modRevision <= before.revision);
  });
}
