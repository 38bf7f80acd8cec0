/** Calls `run` once after `ms` milliseconds, unless the function that it returns is called first. Injected for tests. */
export type Schedule = (ms: number, run: () => void) => () => void;

export const systemSchedule: Schedule = (ms, run) => {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
};
