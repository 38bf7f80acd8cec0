import { DatabaseError } from './failure.ts';

/** How many may pass at once, how many may wait, and for how long. */
export interface GateConfig {
  readonly width: number;
  readonly maxWaiting: number;
  /** Milliseconds. Longer than this means overload, and the caller is better told at once. */
  readonly maxWaitMs: number;
}

interface Waiter {
  readonly enter: () => void;
}

/** Admission to something scarce: first come, first served, bounded in number and in waiting time. */
export interface Gate {
  /**
   * Resolves with the function that gives the place back (idempotent). Rejects with `unavailable` when the queue is
   * full or the wait too long, and with the signal's reason on abort.
   */
  enter(signal?: AbortSignal): Promise<() => void>;
  readonly inside: number;
  readonly waiting: number;
}

/** Waits are ended by one timer per waiter; a place that is given back goes to the first waiter directly. */
export function createGate(config: GateConfig): Gate {
  const queue = new Set<Waiter>();
  let inside = 0;

  function leave(): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = queue.values().next().value;
      if (next === undefined) inside -= 1;
      else next.enter();
    };
  }

  return {
    get inside() {
      return inside;
    },
    get waiting() {
      return queue.size;
    },
    async enter(signal) {
      signal?.throwIfAborted();
      if (inside < config.width) {
        inside += 1;
        return leave();
      }
      if (queue.size >= config.maxWaiting) throw new DatabaseError('unavailable', 'too many calls are waiting');
      return new Promise<() => void>((resolve, reject) => {
        const settle = () => {
          queue.delete(waiter);
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
        };
        const abort = () => {
          settle();
          reject(signal?.reason);
        };
        const timer = setTimeout(() => {
          settle();
          reject(new DatabaseError('unavailable', 'waited too long for a connection'));
        }, config.maxWaitMs);
        const waiter: Waiter = {
          enter: () => {
            settle();
            resolve(leave());
          },
        };
        queue.add(waiter);
        signal?.addEventListener('abort', abort, { once: true });
      });
    },
  };
}
