import type { Decision } from '../action.ts';
import { describeFault, type Fault, inflict } from './faults.ts';
import type { Mutation } from './mutations.ts';
import type { Violation } from './properties.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenarios.ts';
import { randomSchedule } from './schedule.ts';
import { World } from './world.ts';

export interface RunOptions {
  readonly peers?: number;
  readonly mutation?: Mutation | undefined;
  /** In the place of random faults. */
  readonly scenario?: Scenario | undefined;
  /** Lines of the trace that are kept; 0: none is made. */
  readonly traceLines?: number;
}

export interface Result {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly faults: readonly Fault[];
  readonly simulatedMs: number;
  readonly events: number;
  readonly generations: number;
  readonly acknowledged: number;
  readonly covered: ReadonlyMap<string, number>;
  readonly trace: readonly string[];
}

const OPEN_WITHIN_MS = 60_000;
/** Faults may end long after the last has begun. */
const LAST_END_MS = 14_000;
const QUIET_MS = 60_000;
const CALM_MS = 4_000;
const STEP_MS = 1_000;

/** Runs one world: it opens, is hit, is healed, and has a quiet minute to come back (S11). The same seed, the same run. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<Result> {
  const random = new Random(seed).fork('schedule');
  const faults = options.scenario?.faults(random) ?? randomSchedule(random);
  return runFaults(seed, faults, options);
}

/** The same with a schedule that is given. */
export async function runFaults(seed: number, faults: readonly Fault[], options: RunOptions = {}): Promise<Result> {
  const trace: string[] = [];
  const { traceLines = 0 } = options;
  const world = new World({
    seed,
    peers: options.scenario?.peers ?? options.peers ?? 3,
    mutation: options.mutation,
    ...(traceLines === 0
      ? {}
      : {
          trace: (at, peer, text) => {
            trace.push(`${(at / 1_000).toFixed(4).padStart(9)} ${peer.padEnd(7)} ${text}`);
            if (trace.length > 2 * traceLines) trace.splice(0, traceLines);
          },
        }),
  });
  world.begin();
  if (await settles(world, OPEN_WITHIN_MS, 0)) {
    arrange(world, faults);
    await serve(world, faults, options.scenario?.servesWithinMs);
    heal(world);
    if (world.violation === undefined) {
      const isWell = await settles(world, QUIET_MS, CALM_MS);
      if (!isWell && !world.checker.isExcluded && !world.awaitsOperator()) {
        world.violate('S11', `not back after a quiet minute: ${world.unhealthy()}`);
      }
      // The first generation, and a change for the beginning and for the end of each fault.
      const most = 2 * faults.length + 1;
      if (world.checker.generations > most) {
        world.violate('S12', `${world.checker.generations} generations for ${faults.length} faults`);
      }
    }
  } else if (world.violation === undefined) world.violate('S11', `never opened: ${world.unhealthy()}`);
  return {
    seed,
    violation: world.violation,
    faults,
    simulatedMs: world.scheduler.now,
    events: world.scheduler.events,
    generations: world.checker.generations,
    acknowledged: world.checker.acknowledgements.length,
    covered: world.covered,
    trace: trace.slice(-traceLines),
  };
}

/** Until no fault begins any more and, but for those that wait for a decision late, none lasts. */
async function serve(world: World, faults: readonly Fault[], withinMs: number | undefined): Promise<void> {
  const begun = world.scheduler.now;
  if (withinMs !== undefined) {
    await world.scheduler.runUntil(begun + withinMs);
    const quietMs = world.scheduler.now - world.checker.lastAcknowledgedAt;
    if (world.violation === undefined && quietMs > withinMs / 2) {
      world.violate('S11', `one fault, and no write was acknowledged for ${Math.round(quietMs)} ms`);
    }
  }
  const starts = faults.map(({ when }) => ('at' in when ? when.at : 0));
  const isOpenEnded = faults.some(({ when }) => !('at' in when));
  const last = Math.max(0, ...faults.map(({ ms }, place) => (starts[place] ?? 0) + ms));
  await world.scheduler.runUntil(begun + last + (isOpenEnded ? LAST_END_MS : 500));
}

/** Whether the shard has been well for `calmMs` within the time. */
async function settles(world: World, withinMs: number, calmMs: number): Promise<boolean> {
  const end = world.scheduler.now + withinMs;
  let wellSince: number | undefined;
  while (world.scheduler.now < end && world.violation === undefined) {
    await world.scheduler.runUntil(world.scheduler.now + STEP_MS);
    if (world.unhealthy() !== undefined) wellSince = undefined;
    else wellSince ??= world.scheduler.now;
    if (wellSince !== undefined && world.scheduler.now - wellSince >= calmMs) return true;
  }
  return false;
}

/** Each fault at its time, or at the first decision it waits for. */
function arrange(world: World, faults: readonly Fault[]): void {
  const waiting = new Set<Fault>();
  for (const [place, fault] of faults.entries()) {
    const random = world.random.fork(`fault ${place}`);
    if ('at' in fault.when) world.scheduler.after(fault.when.at, () => inflict(world, fault, random));
    else waiting.add(fault);
  }
  world.onDecision = (_, { action }: Decision) => {
    for (const fault of waiting) {
      if (!('after' in fault.when) || fault.when.after !== action.kind) continue;
      waiting.delete(fault);
      world.scheduler.after(fault.when.delayMs, () => inflict(world, fault, world.random.fork(describeFault(fault))));
    }
  };
}

/** No fault happens any more, and none lasts. */
function heal(world: World): void {
  world.note('', 'HEALED');
  world.onDecision = () => {};
  world.network.heal();
  world.etcd.lossRate = 0;
  world.etcd.lateMs = 0;
  world.etcd.slownessMs = 2;
  for (const peer of world.peers) {
    peer.volume.isFull = false;
    peer.pace.replayMs = 0;
    peer.resumeSitter();
    peer.boot();
  }
}

/** Takes away every fault that the violation does not need. Bounded by the number of runs. */
export async function shrink(result: Result, options: RunOptions, runs = 40): Promise<Result> {
  let smallest = await runFaults(result.seed, result.faults, options);
  let left = runs;
  for (let place = 0; place < smallest.faults.length && left > 0; ) {
    left -= 1;
    const fewer = smallest.faults.filter((_, index) => index !== place);
    const again = await runFaults(result.seed, fewer, options);
    if (again.violation?.property === result.violation?.property) smallest = again;
    else place += 1;
  }
  return smallest;
}
