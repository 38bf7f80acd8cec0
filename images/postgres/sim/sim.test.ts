import { rules } from '../decide.ts';
import { campaignOnAllCores } from './all-cores.ts';
import { campaign, describe as describeResult, report } from './campaign.ts';
import { runFaults, runSeed } from './run.ts';

const WITHIN_MS = 60_000;

test('a seed is one run: its trace repeats to the last line', async () => {
  const [first, second] = [await runSeed(7, { traceLines: 5_000 }), await runSeed(7, { traceLines: 5_000 })];
  expect(second.trace).toEqual(first.trace);
  expect(first.acknowledged).toBeGreaterThan(100);
}, 60_000);

/** Each of these has broken a property once. */
test.each([8, 15, 38, 78, 95, 1_194, 599_454_834, 599_685_134, 600_299_893, 601_059_359])(
  'seed %i breaks nothing any more',
  async seed => {
    const result = await runSeed(seed, { traceLines: 60 });
    if (result.violation !== undefined) throw new Error(describeResult(result));
  },
  60_000,
);

test('all cores together run the seeds that one alone runs', async () => {
  const config = { firstSeed: 1, withinMs: 60_000, runs: 5, peers: undefined, traceLines: 60 };
  const [alone, together] = [await campaign(config), await campaignOnAllCores(config)];
  const { runs, acknowledged, simulatedMs } = together;
  expect({ runs, acknowledged, simulatedMs }).toEqual({
    runs: alone.runs,
    acknowledged: alone.acknowledged,
    simulatedMs: expect.closeTo(alone.simulatedMs),
  });
}, 90_000);

test('a sync that was just declared is not judged by what it answered before', async () => {
  const { generations, violation } = await runFaults(40_127, []);
  expect({ generations, violation }).toEqual({ generations: expect.any(Number), violation: undefined });
  expect(generations).toBeLessThanOrEqual(2);
}, 60_000);

test('whatever fails, for a minute of random and directed faults, no property is violated', async () => {
  const outcome = await campaign({
    // Always the same, so that a change is judged and not luck; `npm run sim` goes where nobody has been.
    firstSeed: 1,
    withinMs: WITHIN_MS,
    runs: Number.POSITIVE_INFINITY,
    peers: undefined,
    traceLines: 60,
  });
  const names = rules.map(({ name }) => name);
  if (outcome.violations.length > 0) throw new Error(report(outcome, names));
  expect(outcome.acknowledged).toBeGreaterThan(0);
}, 180_000);
