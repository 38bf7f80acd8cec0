import { setTimeout as sleep } from 'node:timers/promises';
import type { Gap } from './gap.ts';
import { percentile } from './gap.ts';
import { type Processors, watchProcessors } from './processors.ts';
import type { Rig } from './rig.ts';
import { goals, type Scenario } from './scenario.ts';

/** What a scenario showed. It passed when `problems` is empty. */
export interface RowResult {
  readonly row: string;
  readonly name: string;
  readonly runs: number;
  readonly gaps: readonly Gap[];
  readonly lost: number;
  readonly generations: number;
  /** The checker's line, or why there was none. */
  readonly verdict: string;
  readonly problems: readonly string[];
  readonly skipped?: string;
}

export interface RunOptions {
  /** Rounds; the scenario's own number by default. */
  readonly times?: number;
  /** performance.now() after which no round begins; the first always does. */
  readonly until?: number;
  /** Goals of time are multiplied by it: for machines that are busy with other things. */
  readonly slack?: number;
  readonly onRound?: (text: string) => void;
}

const RECOVER_MS = 120_000;
/** Rounds begin anywhere in the sitters' loops. */
const PHASE_MS = 300;
const NOTICE_MS = 500;

/** Runs one scenario under load on a healthy shard, then lets everything heal and checks. Never throws. */
export async function runScenario(rig: Rig, scenario: Scenario, options: RunOptions = {}): Promise<RowResult> {
  const { row, name } = scenario;
  const result = { row, name, runs: 0, gaps: [] as Gap[], lost: 0, generations: 0, problems: [] as string[] };
  const skipped = await unavailability(rig, scenario);
  if (skipped !== undefined) return { ...result, verdict: 'skipped', skipped };
  let verdict = 'not checked';
  try {
    const loader = await rig.load(scenario.mustLose === undefined ? {} : { ...scenario.mustLose, paceMs: 0 });
    const processors = watchProcessors(loader.now);
    try {
      const first = (await rig.state()).generation;
      const times = options.times ?? scenario.times;
      for (
        ;
        result.runs < times && (result.runs === 0 || performance.now() < (options.until ?? Infinity));
        result.runs += 1
      )
        result.gaps.push(
          await runRound(rig, scenario, {
            loader,
            processors,
            number: result.runs,
            problems: result.problems,
            options,
          }),
        );
      result.generations = (await rig.state()).generation - first;
    } catch (error) {
      result.problems.push(messageOf(error));
    }
    processors.stop();
    await rig.shard.network?.healAll();
    const found = await rig.check(loader);
    verdict = found.line;
    result.lost = found.lost;
    if (scenario.mustLose === undefined) result.problems.push(...found.violations);
    else if (found.lost === 0) result.problems.push('nothing is missing: the harness is too weak');
  } catch (error) {
    result.problems.push(messageOf(error));
  }
  result.problems.push(...missedGoals(scenario, result.gaps, options.slack ?? 1));
  return { ...result, verdict };
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function unavailability(rig: Rig, scenario: Scenario): Promise<string | undefined> {
  if (scenario.needsNetwork === true && rig.shard.network === undefined) {
    return 'links cannot be cut: this needs root and network namespaces';
  }
  return scenario.unavailable?.(rig);
}

interface RoundContext {
  readonly loader: Awaited<ReturnType<Rig['load']>>;
  readonly processors: Processors;
  readonly number: number;
  readonly problems: string[];
  readonly options: RunOptions;
}

async function runRound(
  rig: Rig,
  scenario: Scenario,
  { loader, processors, number, problems, options }: RoundContext,
): Promise<Gap> {
  await rig.shard.waitUntilHealthy(RECOVER_MS);
  await loader.acknowledged(RECOVER_MS);
  await sleep(Math.random() * PHASE_MS);
  const before = await rig.state();
  const from = loader.now();
  let until: number | undefined;
  const problem = (sentence: string) => problems.push(`round ${number + 1}: ${sentence}`);
  await scenario.round({
    rig,
    loader,
    number,
    problem,
    measured: () => {
      until ??= loader.now();
    },
  });
  const [least, most] = bounds(scenario.generations);
  // Right after a death everything still looks well, and the dead server's orphans may still acknowledge.
  if (least > 0)
    await rig.stateWhen(({ generation }) => generation >= before.generation + least, RECOVER_MS, 'new pair');
  else await sleep(NOTICE_MS);
  await loader.acknowledged(RECOVER_MS);
  until ??= loader.now();
  await rig.shard.waitUntilHealthy(RECOVER_MS);
  const gap = loader.gap(from, until);
  await loader.acknowledged(RECOVER_MS);
  const later = loader.gap(until);
  const generations = (await rig.state()).generation - before.generation;
  if (generations < least || generations > most) problem(`${generations} new generations, expected ${[least, most]}`);
  if (scenario.noFailures === true && gap.failed + gap.unknown > 0) {
    problem(`${gap.failed} writes failed and ${gap.unknown} stayed unknown`);
  }
  const busy = processors.busy(gap.since, gap.since + gap.gapMs);
  options.onRound?.(
    `${scenario.row} ${scenario.name} ${number + 1}: gap ${gap.gapMs.toFixed(0)} ms, processors ` +
      `${(busy * 100).toFixed(0)} % busy in it, slowest write ` +
      `${gap.slowestMs.toFixed(0)} ms, ${generations} new generations; healthy after ${(loader.now() - from).toFixed(0)} ms, ` +
      `with gaps up to ${later.gapMs.toFixed(0)} ms meanwhile`,
  );
  return gap;
}

function bounds(generations: Scenario['generations']): readonly [number, number] {
  if (generations === undefined) return [0, Number.POSITIVE_INFINITY];
  return typeof generations === 'number' ? [generations, generations] : generations;
}

function missedGoals({ goal }: Scenario, gaps: readonly Gap[], slack: number): string[] {
  if (goal === undefined || gaps.length === 0) return [];
  const measured = gaps.map(({ gapMs }) => gapMs);
  const { p50Ms, p99Ms } = goals[goal];
  const missed = (share: number, limit: number) => {
    const found = percentile(measured, share);
    return found <= limit * slack
      ? []
      : [`SLOW: ${goal} p${share * 100} is ${found.toFixed(0)} ms, the goal ${limit * slack} ms`];
  };
  return [...missed(0.5, p50Ms), ...missed(0.99, p99Ms)];
}
