import { MantaError } from '../../lib/errors/manta-error.ts';

/** Bounds how many requests are worked on at once. http-api.md §15.1. */
export interface Throttle {
  /**
   * Resolves with the function that gives the turn back, in order of arrival; at once when nothing is limited. Throws
   * ThrottledError when the queue is full, and the signal's reason when it aborts while waiting.
   */
  enter(signal: AbortSignal): Promise<() => void>;
}

/** `concurrentRequests` 0 limits nothing. */
export function createThrottle(limits: { concurrentRequests: number; queuedRequests: number }): Throttle {
  const waiting = new Set<() => void>();
  let running = 0;

  function leave(): void {
    const [next] = waiting;
    if (next === undefined) running -= 1;
    else {
      // The turn passes on, so the number of running requests stays.
      waiting.delete(next);
      next();
    }
  }

  function once(): () => void {
    let left = false;
    return () => {
      if (!left) leave();
      left = true;
    };
  }

  return {
    enter: signal => {
      if (limits.concurrentRequests === 0) return Promise.resolve(() => {});
      if (running < limits.concurrentRequests) {
        running += 1;
        return Promise.resolve(once());
      }
      if (waiting.size >= limits.queuedRequests) {
        return Promise.reject(new MantaError('ThrottledError', 'too many requests at once'));
      }
      return new Promise((resolve, reject) => {
        const giveUp = () => {
          waiting.delete(turn);
          reject(signal.reason);
        };
        const turn = () => {
          signal.removeEventListener('abort', giveUp);
          resolve(once());
        };
        waiting.add(turn);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
