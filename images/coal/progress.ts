import type { Clock } from '../../lib/lifecycle/clock.ts';

/** Tells the person who waits what is going on. */
export interface Progress {
  /** Runs `work` under a title and says how long it took. */
  step<T>(title: string, work: () => Promise<T>): Promise<T>;
}

const COLUMN = 28;

/** One line a step: the title at its start, the seconds at its end. */
export function createProgress(deps: { clock: Clock; write: (text: string) => void }): Progress {
  return {
    async step(title, work) {
      const start = deps.clock.monotonic();
      deps.write(`  ${title} ${'.'.repeat(Math.max(3, COLUMN - title.length))} `);
      try {
        const result = await work();
        deps.write(`${((deps.clock.monotonic() - start) / 1000).toFixed(1)} s\n`);
        return result;
      } catch (error) {
        deps.write('failed\n');
        throw error;
      }
    },
  };
}
