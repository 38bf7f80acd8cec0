import { shardKeys } from './keys.ts';

const keys = shardKeys('/manta', 7);

it('a shard’s keys are below its prefix, but for the history, which is long and beside it', () => {
  const { state, config, bootstrap, answer, peers, requests } = keys;
  for (const key of [state, config, bootstrap, answer, peers, requests, keys.peer('pg-7-0'), keys.request('rebuild')])
    expect(key.startsWith('/manta/shards/7/')).toBe(true);
  expect(keys.histories.startsWith(keys.prefix)).toBe(false);
});

it('one shard’s prefix is not that of another', () => {
  expect(shardKeys('/manta', 70).state.startsWith(keys.prefix)).toBe(false);
  expect(shardKeys('/manta', 70).histories.startsWith(keys.histories)).toBe(false);
});

it('history sorts by seq as text', () => {
  expect(keys.history(9)).toBe('/manta/history/7/000000000009');
  expect([keys.history(10), keys.history(9), keys.history(1_000)].sort()).toEqual([9, 10, 1_000].map(keys.history));
});
