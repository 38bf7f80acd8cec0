import type { Clock } from '../../lib/lifecycle/clock.ts';

/** Tells the person who waits what is going on. */
export interface Progress {
  /** Runs `work` under a title and says how long it took. `work` may say what it waits for meanwhile. */
  step<T>(title: string, work: (say: (text: string) => void) => Promise<T>): Promise<T>;
}

const COLUMN = 28;

/** One line a step: the title at its start, the seconds at its end; both once more below what was said in between. */
export function createProgress(deps: { clock: Clock; write: (text: string) => void }): Progress {
  return {
    async step(title, work) {
      const start = deps.clock.monotonic();
      const head = `  ${title} ${'.'.repeat(Math.max(3, COLUMN - title.length))} `;
      let again = '';
      const say = (text: string) => {
        deps.write(`${again === '' ? '\n' : ''}    … ${text}\n`);
        again = head;
      };
      deps.write(head);
      try {
        const result = await work(say);
        deps.write(`${again}${((deps.clock.monotonic() - start) / 1000).toFixed(1)} s\n`);
        return result;
      } catch (error) {
        deps.write(`${again}failed\n`);
        throw error;
      }
    },
  };
}
