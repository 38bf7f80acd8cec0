import { parseArgs } from 'node:util';
import { rules } from '../decide.ts';
import { campaignOnAllCores } from './all-cores.ts';
import { findMutation, report } from './campaign.ts';
import { mutations } from './mutations.ts';

const HELP = `npm run sim -- [options]

Simulates a shard with the sitter's real rules and actions over models of PostgreSQL, etcd and the network,
and checks the properties of replication.md §16.2. Ends with 1 when one is violated.

  --minutes N       how long to look for violations (default 1)
  --seed S          the first seed (default: by the clock); with --runs 1 it replays a run
  --runs N          how many seeds at most
  --peers N         3 or 5 (default: both, by the seed)
  --trace           the whole trace of a violation, not only its end
  --mutation NAME   with one protection switched off: ends with 1 unless that is found
  --mutations       the same for every one there is
  --help
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    runs: { type: 'string' },
    peers: { type: 'string' },
    trace: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    mutations: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (text: string) => void process.stdout.write(`${text}\n`);
// Errors are expected here by the thousand, and nobody reads where they come from.
Error.stackTraceLimit = 0;

async function findMutations(names: readonly string[] | undefined): Promise<boolean> {
  let isFine = true;
  for (const mutation of mutations) {
    if (names !== undefined && !names.includes(mutation.name)) continue;
    const found = await findMutation(mutation, { firstSeed: Number(values.seed ?? 1), seeds: 60 });
    isFine &&= found.isFound;
    say(`${found.isFound ? 'found' : 'NOT FOUND'}  ${mutation.name}: ${mutation.why}\n  ${found.sentence}`);
  }
  return isFine;
}

async function findViolations(): Promise<boolean> {
  const firstSeed = Number(values.seed ?? Date.now() % 1_000_000_000);
  const outcome = await campaignOnAllCores({
    firstSeed,
    withinMs: Number(values.minutes) * 60_000,
    runs: values.runs === undefined ? Number.POSITIVE_INFINITY : Number(values.runs),
    peers: values.peers === undefined ? undefined : Number(values.peers),
    traceLines: values.trace ? 100_000 : 60,
  });
  say(
    report(
      outcome,
      rules.map(({ name }) => name),
    ),
  );
  return outcome.violations.length === 0;
}

if (values.help) say(HELP);
else if (values.mutation !== undefined) process.exitCode = (await findMutations([values.mutation])) ? 0 : 1;
else if (values.mutations) process.exitCode = (await findMutations(undefined)) ? 0 : 1;
else process.exitCode = (await findViolations()) ? 0 : 1;
