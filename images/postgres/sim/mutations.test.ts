import { findMutation } from './campaign.ts';
import { mutations } from './mutations.ts';
import { runSeed } from './run.ts';

const quick = mutations.filter(({ isQuick }) => isQuick);

test.each(quick.map(mutation => [mutation.name, mutation] as const))(
  'with one protection switched off a property breaks: %s',
  async (_, mutation) => {
    const found = await findMutation(mutation, { firstSeed: 1, seeds: 40 });
    expect(found.isFound ? 'found' : found.sentence).toBe('found');
  },
  90_000,
);

test('with all of them on, the same faults break nothing', async () => {
  const broken: string[] = [];
  for (const { name, scenario } of quick) {
    for (const seed of [1, 2]) {
      const { violation } = await runSeed(seed, { scenario });
      if (violation !== undefined) broken.push(`${name}, seed ${seed}: ${violation.property} ${violation.message}`);
    }
  }
  expect(broken).toEqual([]);
}, 120_000);
