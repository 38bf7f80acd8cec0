/** Time as programs see it. Injected everywhere, so that tests can hold it still. */
export interface Clock {
  /** Wall clock, epoch milliseconds. For dates that people or other machines read; never for durations. */
  now(): number;
  /** Monotonic milliseconds. For durations, deadlines and ages. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
