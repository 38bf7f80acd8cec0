import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { canMakeNetworks } from '../../images/postgres/local/network.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { coordinationScenarios } from './coordination.ts';
import { damageScenarios } from './damage.ts';
import { fullDiskScenarios, mountVolumes, unmountVolumes } from './full-disks.ts';
import { percentile } from './gap.ts';
import { killScenarios, lossScenarios, senderScenarios, stepScenarios } from './kills.ts';
import { partitionScenarios } from './partitions.ts';
import { pauseScenarios } from './pauses.ts';
import { plannedScenarios } from './planned.ts';
import { createRig, type Rig } from './rig.ts';
import { type RowResult, runScenario } from './run-scenario.ts';
import { goals, type Scenario } from './scenario.ts';

/** All rows of replication.md §16.4 that are built, in the order of their numbers. */
export const scenarios: readonly Scenario[] = [
  ...killScenarios,
  ...senderScenarios,
  ...lossScenarios,
  ...stepScenarios,
  ...pauseScenarios,
  ...partitionScenarios,
  ...coordinationScenarios,
  ...plannedScenarios,
  ...damageScenarios,
  ...fullDiskScenarios,
].sort((a, b) => placeOf(a) - placeOf(b));

/** Faults by their numbers, then what has to go wrong. */
function placeOf({ row }: Scenario): number {
  return Number(row.slice(1)) + (row.startsWith('M') ? 1_000 : 0);
}

export interface ShardFaultOptions {
  /** Rows, such as `F1`, or words of names; all without. */
  readonly only?: readonly string[] | undefined;
  /** Rounds of every scenario, in place of its own number. */
  readonly times?: number | undefined;
  /** No round begins later. */
  readonly minutes?: number | undefined;
  readonly slack?: number | undefined;
  readonly etcdMembers?: 1 | 3;
  /** Directories stay, with the logs of all programs, also of shards that stayed well. */
  readonly keep?: boolean;
}

/** The scenarios that a wish names. */
export function chosenScenarios(only: readonly string[] | undefined): readonly Scenario[] {
  return scenarios.filter(({ row, name, byName }) => {
    if (only === undefined) return byName !== true;
    return only.some(wish => (/^[FM]\d+$/.test(wish) ? wish === row && byName !== true : name.includes(wish)));
  });
}

/** Runs scenarios one after the other on real shards in temporary directories. A shard that does not heal is replaced. */
export async function runShardFaults(options: ShardFaultOptions): Promise<readonly RowResult[]> {
  const until = options.minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.minutes * 60_000;
  const results: RowResult[] = [];
  const stand = new Stand(options);
  try {
    for (const scenario of chosenScenarios(options.only)) {
      if (performance.now() > until) {
        results.push(notRun(scenario, 'no time was left'));
        continue;
      }
      console.log(`— ${scenario.row} ${scenario.name}`);
      const result = await runScenario(await stand.rig(scenario.needsVolumes === true), scenario, {
        ...(options.times === undefined ? {} : { times: options.times }),
        ...(options.slack === undefined ? {} : { slack: options.slack }),
        until,
        onRound: text => console.log(`  ${text}`),
      });
      console.log(`  ${result.skipped ?? result.verdict}`);
      for (const problem of result.problems.slice(0, 20)) console.log(`  ! ${problem}`);
      results.push(result);
      if (result.problems.length > 0) await stand.discard();
    }
  } finally {
    await stand.close();
  }
  return results;
}

/** The shard that scenarios share for as long as it stays well. */
class Stand {
  readonly #options: ShardFaultOptions;
  #rig: Rig | undefined;
  #dir: string | undefined;
  #hasVolumes = false;

  constructor(options: ShardFaultOptions) {
    this.#options = options;
  }

  async rig(needsVolumes: boolean): Promise<Rig> {
    if (this.#hasVolumes !== needsVolumes) await this.close();
    if (this.#rig === undefined) {
      this.#hasVolumes = needsVolumes;
      this.#dir = await mkdtemp(join(tmpdir(), 'manta-shard-faults-'));
      // PostgreSQL, which does not run as root, has to pass through.
      await chmod(this.#dir, 0o755);
      if (needsVolumes) mountVolumes(this.#dir);
      const logger = pino({ level: 'silent' });
      this.#rig = await createRig(
        { logger, clock: systemClock },
        {
          dir: this.#dir,
          peers: 3,
          etcdMembers: this.#options.etcdMembers ?? 3,
          hosts: canMakeNetworks() ? 'namespaces' : 'loopback',
          walVolumes: needsVolumes,
          ...(needsVolumes ? { parameters: { wal_keep_size: '64MB', max_wal_size: '128MB' } } : {}),
        },
      );
      await this.#rig.shard.waitUntilHealthy();
    }
    return this.#rig;
  }

  /** What is wrong with it can be looked at in its directory. */
  async discard(): Promise<void> {
    console.log(`  logs of this shard: ${this.#dir}/pg-1-*/peer.log`);
    await this.#end();
    this.#rig = undefined;
    this.#dir = undefined;
  }

  async #end(): Promise<void> {
    await this.#rig?.close();
    if (this.#hasVolumes && this.#dir !== undefined) unmountVolumes(this.#dir);
  }

  async close(): Promise<void> {
    await this.#end();
    if (this.#rig !== undefined && this.#dir !== undefined) {
      if (this.#options.keep === true) console.log(`kept: ${this.#dir}`);
      else await rm(this.#dir, { recursive: true, force: true });
    }
    this.#rig = undefined;
    this.#dir = undefined;
  }
}

function notRun({ row, name }: Scenario, skipped: string): RowResult {
  return { row, name, runs: 0, gaps: [], lost: 0, generations: 0, verdict: 'skipped', problems: [], skipped };
}

/** Row, runs, gaps against the goal, lost writes, generations, verdict. */
export function resultTable(results: readonly RowResult[]): string {
  const head = ['row', 'fault', 'runs', 'p50', 'p99', 'max', 'goal', 'failed', 'unknown', 'lost', 'gen', 'verdict'];
  const lines = results.map(result => {
    const gaps = result.gaps.map(({ gapMs }) => gapMs);
    const goal = scenarios.find(({ row, name }) => row === result.row && name === result.name)?.goal;
    const sum = (pick: 'failed' | 'unknown') => result.gaps.reduce((total, gap) => total + gap[pick], 0);
    const ms = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(0));
    return [
      result.row,
      result.name,
      String(result.runs),
      ms(percentile(gaps, 0.5)),
      ms(percentile(gaps, 0.99)),
      ms(percentile(gaps, 1)),
      goal === undefined ? '-' : `${goal} ${goals[goal].p50Ms}/${goals[goal].p99Ms}`,
      String(sum('failed')),
      String(sum('unknown')),
      String(result.lost),
      String(result.generations),
      result.skipped === undefined ? (result.problems.length === 0 ? 'ok' : 'FAILED') : `skipped: ${result.skipped}`,
    ];
  });
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map(line => line[column]?.length ?? 0)));
  return [head, ...lines]
    .map(line =>
      line.map((cell, column) => cell.padEnd(column === line.length - 1 ? 0 : (widths[column] ?? 0))).join('  '),
    )
    .join('\n');
}
