import { describeFault } from './faults.ts';
import type { Mutation } from './mutations.ts';
import { type Result, type RunOptions, runSeed, shrink } from './run.ts';
import { scenarios } from './scenarios.ts';

export interface CampaignConfig {
  readonly firstSeed: number;
  /** Between seeds; undefined: 1. */
  readonly step?: number;
  readonly withinMs: number;
  readonly runs: number;
  /** Undefined: three, and five for every fifth seed. */
  readonly peers: number | undefined;
  /** Of a violation. */
  readonly traceLines: number;
}

export interface Outcome {
  readonly firstSeed: number;
  readonly runs: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly simulatedMs: number;
  readonly acknowledged: number;
  readonly covered: ReadonlyMap<string, number>;
  readonly violations: readonly Result[];
}

const MOST_VIOLATIONS = 5;
const directed = Object.values(scenarios);

/**
 * Seeds one after the other until the time is over: two random schedules, then one directed scenario. A seed gives the
 * same run by itself, so that one number repeats it.
 */
export async function campaign(config: CampaignConfig): Promise<Outcome> {
  const begun = performance.now();
  const cpu = process.threadCpuUsage();
  const covered = new Map<string, number>();
  const violations: Result[] = [];
  let [runs, simulatedMs, acknowledged] = [0, 0, 0];
  while (runs < config.runs && performance.now() - begun < config.withinMs && violations.length < MOST_VIOLATIONS) {
    const seed = config.firstSeed + runs * (config.step ?? 1);
    const options = optionsOf(seed, config.peers);
    const result = await runSeed(seed, options);
    runs += 1;
    simulatedMs += result.simulatedMs;
    acknowledged += result.acknowledged;
    for (const [rule, times] of result.covered) covered.set(rule, (covered.get(rule) ?? 0) + times);
    if (result.violation !== undefined) {
      violations.push(await shrink(result, { ...options, traceLines: config.traceLines }));
    }
  }
  const { user, system } = process.threadCpuUsage(cpu);
  return {
    firstSeed: config.firstSeed,
    runs,
    wallMs: performance.now() - begun,
    cpuMs: (user + system) / 1_000,
    simulatedMs,
    acknowledged,
    covered,
    violations,
  };
}

function optionsOf(seed: number, peers: number | undefined): RunOptions {
  const scenario = seed % 3 === 2 ? directed[Math.floor(seed / 3) % directed.length] : undefined;
  return { peers: peers ?? (seed % 5 === 4 ? 5 : 3), scenario };
}

/** For people. Rules that no run has exercised are named. */
export function report(outcome: Outcome, ruleNames: readonly string[]): string {
  const { runs, wallMs, cpuMs, simulatedMs, covered, violations, acknowledged } = outcome;
  const count = (rule: string) => covered.get(rule) ?? 0;
  const unused = ruleNames.filter(rule => count(rule) === 0);
  return [
    `${runs} seeds from ${outcome.firstSeed}: ${(runs / (wallMs / 1_000)).toFixed(1)} a second, ${Math.round(simulatedMs / 1_000)} s simulated,`,
    `${Math.round(simulatedMs / wallMs)} times as fast as real time (${Math.round(simulatedMs / cpuMs)} by processor time), ${acknowledged} writes acknowledged`,
    `decisions by rule: ${ruleNames.map(rule => `${rule} ${count(rule)}`).join(', ')}`,
    ...(unused.length === 0 ? [] : [`never exercised: ${unused.join(', ')}`]),
    ...(violations.length === 0 ? ['no violation'] : violations.map(describe)),
  ].join('\n');
}

/** A violation with what it takes, and how it came. */
export function describe({ seed, violation, faults, trace }: Result): string {
  return [
    '',
    `seed ${seed} violates ${violation?.property} after ${((violation?.at ?? 0) / 1_000).toFixed(3)} s: ${violation?.message}`,
    ...faults.map(fault => `  ${describeFault(fault)}`),
    ...trace,
    `again: npm run sim -- --runs 1 --seed ${seed} --trace`,
  ].join('\n');
}

/** Looks for a seed, among so many, at which a mutation breaks what it must. */
export async function findMutation(
  mutation: Mutation,
  { firstSeed, seeds }: { readonly firstSeed: number; readonly seeds: number },
): Promise<{ readonly isFound: boolean; readonly sentence: string }> {
  const begun = performance.now();
  const others = new Map<string, number>();
  let seed = firstSeed;
  for (; seed < firstSeed + seeds; seed += 1) {
    const { violation } = await runSeed(seed, { mutation, scenario: mutation.scenario });
    if (violation === undefined) continue;
    const sentence = `seed ${seed}, ${Math.round(performance.now() - begun)} ms: ${violation.property} ${violation.message}`;
    if (mutation.breaks.includes(violation.property)) return { isFound: true, sentence };
    others.set(violation.property, (others.get(violation.property) ?? 0) + 1);
  }
  const sentence = `in ${seed - firstSeed} seeds none of ${mutation.breaks.join(', ')}; others ${JSON.stringify([...others])}`;
  return { isFound: false, sentence };
}
