import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type CampaignConfig, campaign, type Outcome } from './campaign.ts';

/** As `campaign`, with a thread a core: each takes every n-th seed, so that together they take the same ones. */
export async function campaignOnAllCores(config: CampaignConfig): Promise<Outcome> {
  const threads = Math.min(availableParallelism(), config.runs);
  if (threads <= 1) return campaign(config);
  const parts = await Promise.all(
    Array.from({ length: threads }, (_, nth) =>
      runInThread({
        ...config,
        firstSeed: config.firstSeed + nth,
        step: threads,
        runs: Math.ceil((config.runs - nth) / threads),
      }),
    ),
  );
  return parts.reduce(together);
}

function together(one: Outcome, other: Outcome): Outcome {
  const covered = new Map(one.covered);
  for (const [rule, times] of other.covered) covered.set(rule, (covered.get(rule) ?? 0) + times);
  return {
    firstSeed: Math.min(one.firstSeed, other.firstSeed),
    runs: one.runs + other.runs,
    wallMs: Math.max(one.wallMs, other.wallMs),
    cpuMs: one.cpuMs + other.cpuMs,
    simulatedMs: one.simulatedMs + other.simulatedMs,
    acknowledged: one.acknowledged + other.acknowledged,
    covered,
    violations: [...one.violations, ...other.violations],
  };
}

function runInThread(config: CampaignConfig): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: config });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', code => reject(new Error(`a thread of the simulator ended with ${code}`)));
  });
}

if (!isMainThread && parentPort !== null) {
  // As in main.ts: errors are expected here by the thousand.
  Error.stackTraceLimit = 0;
  parentPort.postMessage(await campaign(workerData as CampaignConfig));
}
