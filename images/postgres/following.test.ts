import { lsn } from '../../lib/shard/lsn.ts';
import { createFollowing } from './following.ts';

it('a standby follows while one receiver streams', () => {
  const following = createFollowing();
  following.take('7', lsn(10n), 0);
  expect(following.take('7', lsn(10n), 900)).toBe(0);
  expect(following.take('7', lsn(10n), 1_100)).toBe(1_100);
  expect(following.take('7', lsn(10n), 90_000)).toBe(90_000);
});

it('a standby follows while it replays', () => {
  const following = createFollowing();
  following.take(undefined, lsn(10n), 0);
  expect(following.take(undefined, lsn(20n), 5_000)).toBe(5_000);
});

it('one that streams to a fork over and over does not follow', () => {
  const following = createFollowing();
  following.take('7', lsn(10n), 0);
  for (let at = 200; at < 20_000; at += 200) {
    expect(following.take(`receiver ${at}`, lsn(10n), at)).toBe(0);
    expect(following.take(undefined, lsn(10n), at + 100)).toBe(0);
  }
});
