import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, type Verdict } from '../../faults/shard/checker.ts';
import { type Loader, startLoader } from '../../faults/shard/loader.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import type { Fault, System } from './system.ts';
import type { Row, Sample } from './table.ts';

export interface MeasureOptions {
  readonly times: number;
  readonly warmUpMs: number;
  /** A file to which every write and read is appended. */
  readonly journal: string;
  /** Called with each repetition as soon as it is measured. */
  readonly onSample: (sample: Sample) => void;
  readonly onProgress: (line: string) => void;
}

/** Longer than any of the systems' own limits: who has not come back by then does not come back. */
const BACK_WITHIN_MS = 180_000;
const HEALTHY_WITHIN_MS = 180_000;
/** The fault is over when writes have flowed this long without a stall. */
const QUIET_MS = 3_000;
const STALL_MS = 1_000;

const TABLE = 'load';

/**
 * Strikes a healthy system `times` times with one fault while eight writers write, then has the checker compare what was
 * acknowledged with what all three servers hold. A system that does not become healthy again ends its row, which says so.
 */
export async function measureFault(system: System, fault: Fault, options: MeasureOptions): Promise<Row> {
  const samples: Sample[] = [];
  const say = (text: string) => options.onProgress(`${system.name}: ${fault}: ${text}`);
  try {
    say('starting three servers');
    await system.start();
    await system.waitHealthy(HEALTHY_WITHIN_MS);
    await system.createTable(TABLE);
    const connect = () => system.client(TABLE);
    const loader = startLoader({ clock: systemClock }, { connect, file: options.journal });
    try {
      await loader.acknowledged(BACK_WITHIN_MS);
      await sleep(options.warmUpMs);
      while (samples.length < options.times) {
        const repetition = samples.length + 1;
        const sample = { system: system.name, fault, repetition, ...(await strike(system, fault, loader)) };
        samples.push(sample);
        options.onSample(sample);
        const gap = sample.gapMs === null ? 'no way back' : `${Math.round(sample.gapMs)} ms`;
        say(`${repetition}/${options.times}: ${sample.refused ?? gap}`);
        await system.repair();
      }
      await system.waitHealthy(HEALTHY_WITHIN_MS);
    } finally {
      await loader.stop();
    }
    const { line, lost, violations } = await verdictOn(system, loader);
    say(line);
    for (const violation of violations.slice(0, 5)) say(violation);
    const verdict = violations.length === 0 ? 'ok' : `void: ${violations.length} violations`;
    return { system: system.name, fault, samples, lost, verdict, violations };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    say(message);
    return { system: system.name, fault, samples, lost: undefined, verdict: 'void: see above', violations: [message] };
  }
}

async function verdictOn(system: System, { journal, writers }: Loader): Promise<Verdict> {
  const peers = await caughtUp(system);
  const history = await system.history?.();
  return check({ journal, writers, table: TABLE, peers, ...(history === undefined ? {} : { history }) });
}

async function strike(
  system: System,
  fault: Fault,
  loader: Loader,
): Promise<Omit<Sample, 'system' | 'fault' | 'repetition'>> {
  await system.waitHealthy(HEALTHY_WITHIN_MS);
  await loader.acknowledged(BACK_WITHIN_MS);
  // Anywhere in the control loop: right after a round there is the most time to lose.
  await sleep(Math.random() * system.loopMs);
  const primaryBefore = await system.primary();
  const inject = await system.prepare(fault);
  const from = loader.now();
  const refused = await inject().then(
    () => undefined,
    error => (error instanceof Error ? error.message : String(error)),
  );
  const injectMs = loader.now() - from;
  const isBack = await comesBack(loader);
  const { gapMs, ...felt } = loader.gap(from);
  const primaryAfter = await system.primary().catch(() => 'nobody');
  const [machineLoad = 0] = loadavg();
  return {
    gapMs: isBack ? gapMs : null,
    ...felt,
    atMs: from,
    injectMs,
    refused,
    primaryBefore,
    primaryAfter,
    machineLoad,
  };
}

/** Whether writes flow again, without a stall. */
async function comesBack(loader: Loader): Promise<boolean> {
  const until = loader.now() + BACK_WITHIN_MS;
  try {
    await loader.acknowledged(BACK_WITHIN_MS);
  } catch {
    return false;
  }
  while (loader.now() < until) {
    const since = loader.now();
    await sleep(QUIET_MS);
    if (loader.gap(since).gapMs < STALL_MS) return true;
  }
  return false;
}

/** The servers, once each standby has replayed all that the primary has flushed. */
async function caughtUp(system: System) {
  const peers = await system.peers();
  const [primary, ...standbys] = peers;
  const [[end] = []] = (await primary?.query('SELECT pg_current_wal_flush_lsn()')) ?? [];
  await eventually(async () => {
    for (const standby of standbys) {
      const [[isThere] = []] = await standby.query(`SELECT pg_last_wal_replay_lsn() >= '${end}'::pg_lsn`);
      if (isThere !== 'true' && isThere !== 't') return false;
    }
    return true;
  }, HEALTHY_WITHIN_MS);
  return peers;
}
