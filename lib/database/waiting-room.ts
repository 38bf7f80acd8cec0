import { DatabaseError } from './failure.ts';

/** How many may wait, and for how long at a stay. */
export interface WaitingRoomConfig {
  readonly maxWaiting: number;
  /** Milliseconds. */
  readonly maxWaitMs: number;
}

/** Work that waits for a condition, such as a primary that serves: bounded in number and in waiting time. */
export interface WaitingRoom {
  /**
   * Resolves with what `ready` answers as soon as that is defined: at once, or at a later `wake`, first come, first
   * served. Rejects with `unavailable` when the room is full or the stay too long, and with the signal's reason on abort.
   */
  enter<T>(ready: () => T | undefined, signal?: AbortSignal): Promise<T>;
  /** Something changed: everybody looks again. */
  wake(): void;
  readonly waiting: number;
}

interface Waiter {
  /** True when it left. */
  look(): boolean;
}

/** `stayed` hears of every stay when it ends, in milliseconds; work that need not wait does not count. */
export function createWaitingRoom(config: WaitingRoomConfig, stayed: (ms: number) => void = () => {}): WaitingRoom {
  const waiters = new Set<Waiter>();

  function wait<T>(ready: () => T | undefined, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const since = performance.now();
      const leave = () => {
        waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        stayed(performance.now() - since);
      };
      const abort = () => {
        leave();
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        leave();
        reject(new DatabaseError('unavailable', 'waited too long for a primary'));
      }, config.maxWaitMs);
      const waiter: Waiter = {
        look() {
          const answer = ready();
          if (answer === undefined) return false;
          leave();
          resolve(answer);
          return true;
        },
      };
      waiters.add(waiter);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  return {
    get waiting() {
      return waiters.size;
    },
    async enter(ready, signal) {
      signal?.throwIfAborted();
      const answer = ready();
      if (answer !== undefined) return answer;
      if (waiters.size >= config.maxWaiting)
        throw new DatabaseError('unavailable', 'too many calls wait for a primary');
      return wait(ready, signal);
    },
    wake() {
      for (const waiter of [...waiters]) waiter.look();
    },
  };
}
