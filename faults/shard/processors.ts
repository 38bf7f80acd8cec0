import { cpus } from 'node:os';

/** What the processors of this machine did, whoever it was for. */
export interface Processors {
  /** The share of their time that was used between two times of `now`, 0 to 1; NaN for times before the first look. */
  busy(from: number, until: number): number;
  stop(): void;
}

interface Look {
  readonly at: number;
  readonly usedMs: number;
}

const EVERY_MS = 20;
const KEPT = 60_000;

/**
 * Looks at them all the time. Where all peers, their etcd and the load share one machine, a gap in which the processors
 * were busy all the time is as long as their work, whatever the protocol waits for.
 */
export function watchProcessors(now: () => number): Processors {
  const looks: Look[] = [];
  const look = () => {
    looks.push({ at: now(), usedMs: usedMs() });
    if (looks.length > KEPT) looks.splice(0, KEPT / 2);
  };
  look();
  const timer = setInterval(look, EVERY_MS);
  timer.unref();
  return {
    busy(from, until) {
      look();
      const used = usedBy(looks, until) - usedBy(looks, from);
      return used / ((until - from) * cpus().length);
    },
    stop: () => clearInterval(timer),
  };
}

/** Since the machine was started. The kernel counts in steps of ten milliseconds. */
function usedMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

/** Between two looks it is taken to have grown evenly. */
function usedBy(looks: readonly Look[], at: number): number {
  const next = looks.findIndex(found => found.at >= at);
  const [before, after] = [looks[next - 1], looks[next]];
  if (before === undefined || after === undefined) return Number.NaN;
  return before.usedMs + ((after.usedMs - before.usedMs) * (at - before.at)) / (after.at - before.at);
}
