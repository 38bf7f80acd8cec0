import { lsn } from '../../../lib/shard/lsn.ts';
import type { Look, LookedSender } from './look.ts';
import { createMovement } from './movement.ts';

const sender: LookedSender = {
  pid: 7,
  startedAt: 'then',
  name: 'pg-1',
  state: 'streaming',
  priority: 1,
  sent: lsn(10n),
  flushed: lsn(10n),
  replayed: lsn(10n),
  replyTime: '1',
};
const primary: Look = {
  systemId: '1',
  inRecovery: false,
  timeline: 1,
  segmentBytes: 1,
  flushed: lsn(10n),
  received: undefined,
  replayed: undefined,
  settings: {},
  senders: [sender],
  receiver: undefined,
  commitsWaiting: [],
};
const standby: Look = {
  ...primary,
  inRecovery: true,
  flushed: undefined,
  received: lsn(10n),
  replayed: lsn(10n),
  senders: [],
  receiver: { pid: 8, status: 'streaming', timeline: 1, lastMessage: '1' },
};
const only = <Value>(values: readonly Value[]): Value => {
  if (values.length !== 1) throw new Error(`${values.length} of them`);
  return values[0] as Value;
};

it('a reply counts from the look before the one that shows it', () => {
  const movement = createMovement();
  expect(only(movement.take(primary, 100).senders).repliedAt).toBe(Number.NEGATIVE_INFINITY);
  expect(only(movement.take(primary, 300).senders).repliedAt).toBe(Number.NEGATIVE_INFINITY);
  const replied = { ...primary, senders: [{ ...sender, replyTime: '2' }] };
  // Frozen for ten seconds: the reply may be as old as that.
  expect(only(movement.take(replied, 10_300).senders).repliedAt).toBe(300);
  expect(only(movement.take(replied, 10_500).senders).repliedAt).toBe(300);
});

it('a sender with a pid that another one had is another sender', () => {
  const movement = createMovement();
  movement.take(primary, 100);
  movement.take({ ...primary, senders: [{ ...sender, replyTime: '2' }] }, 200);
  const next = movement.take({ ...primary, senders: [{ ...sender, startedAt: 'now', replyTime: undefined }] }, 300);
  expect(only(next.senders).repliedAt).toBe(Number.NEGATIVE_INFINITY);
});

it('a flushed position that neither moves nor is the primary’s stands still', () => {
  const movement = createMovement();
  movement.take(primary, 100);
  expect(only(movement.take(primary, 200).senders).flushMovedAt).toBe(200);
  const ahead = { ...primary, flushed: lsn(20n) };
  expect(only(movement.take(ahead, 300).senders).flushMovedAt).toBe(200);
  const moved = { ...ahead, senders: [{ ...sender, flushed: lsn(15n) }] };
  expect(only(movement.take(moved, 400).senders).flushMovedAt).toBe(400);
});

it('waiting counts by commit: a busy server is not one that waits for ever', () => {
  const movement = createMovement();
  expect(movement.take({ ...primary, commitsWaiting: ['1 a'] }, 100).commitWaitingSince).toBe(100);
  expect(movement.take({ ...primary, commitsWaiting: ['1 b', '2 c'] }, 200).commitWaitingSince).toBe(200);
  expect(movement.take({ ...primary, commitsWaiting: ['2 c'] }, 300).commitWaitingSince).toBe(200);
  expect(movement.take(primary, 400).commitWaitingSince).toBeUndefined();
});

it('a stream lives by the upstream’s messages, replay by its position', () => {
  const movement = createMovement();
  expect(movement.take(standby, 100)).toMatchObject({ streamMovedAt: 100, replayMovedAt: 100 });
  expect(movement.take({ ...standby, received: lsn(20n) }, 200)).toMatchObject({
    streamMovedAt: 100,
    replayMovedAt: 100,
  });
  const message = {
    ...standby,
    received: lsn(20n),
    receiver: { pid: 8, status: 'streaming', timeline: 1, lastMessage: '2' },
  };
  expect(movement.take(message, 300)).toMatchObject({ streamMovedAt: 200, replayMovedAt: 100 });
  expect(movement.take({ ...message, replayed: lsn(15n) }, 400)).toMatchObject({ replayMovedAt: 400 });
  movement.forget();
  expect(movement.take(primary, 500)).toMatchObject({ streamMovedAt: undefined, replayMovedAt: undefined });
});
