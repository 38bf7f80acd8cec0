import type { Clock } from '../../../lib/lifecycle/clock.ts';
import type { Session } from './session.ts';
import { advanceSlots } from './slots.ts';

/** What is done to a running server now and then, besides looking: nothing waits for it. */
export interface Pulse {
  /** Beats when it is time to. */
  beat(inRecovery: boolean): void;
  /** Since when a beat has owed its end. */
  unansweredSince(): number | undefined;
  forget(): void;
}

const EVERY_MS = 5_000;
/** A beat that takes longer is late. */
const LATE_MS = 500;

/**
 * Every 5 s: on a primary a tiny WAL message, committed on its own disk alone, since a hung disk shows nowhere else and
 * must not be taken for the standby's (replication.md §11.11); on all, slots are moved to where the downstreams are.
 */
export function createPulse(deps: { clock: Clock; session: Session }): Pulse {
  let startedAt = Number.NEGATIVE_INFINITY;
  let failedSince: number | undefined;
  let isWriting = false;
  let isBeating = false;
  let life = 0;

  async function write(mine: number): Promise<void> {
    const since = startedAt;
    isWriting = true;
    try {
      await deps.session.query(
        `BEGIN READ WRITE; SET LOCAL synchronous_commit = local;
         SELECT pg_logical_emit_message(true, 'manta', ''); COMMIT`,
      );
      if (mine === life) failedSince = undefined;
    } catch (error) {
      if (mine === life) failedSince ??= since;
      throw error;
    } finally {
      if (mine === life) isWriting = false;
    }
  }

  async function beatOnce(inRecovery: boolean, mine: number): Promise<void> {
    isBeating = true;
    try {
      if (!inRecovery) await write(mine);
      await advanceSlots(deps.session);
    } catch {
      // A failed transaction may still be open. The next beat begins on a new connection.
      if (mine === life) deps.session.drop();
    } finally {
      if (mine === life) isBeating = false;
    }
  }

  return {
    beat(inRecovery) {
      const now = deps.clock.monotonic();
      if (isBeating || now - startedAt < EVERY_MS) return;
      startedAt = now;
      void beatOnce(inRecovery, life);
    },
    unansweredSince() {
      const isLate = isWriting && deps.clock.monotonic() - startedAt > LATE_MS;
      return failedSince ?? (isLate ? startedAt : undefined);
    },
    forget() {
      life += 1;
      isBeating = false;
      isWriting = false;
      failedSince = undefined;
      startedAt = Number.NEGATIVE_INFINITY;
      deps.session.drop();
    },
  };
}
