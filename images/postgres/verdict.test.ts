import { defaultTimes } from './times.ts';
import { judgePrimary, judgeSync, type PrimaryEvidence, type SyncEvidence } from './verdict.ts';

const NOW = 100_000;
const well: PrimaryEvidence = {
  watchedSince: 0,
  heardAt: NOW - 100,
  streamMovedAt: NOW - 100,
  brokenAt: undefined,
  refusals: 0,
  neighbour: undefined,
  absentSince: undefined,
  etcdReadAt: NOW - 500,
};
const silent = { heardAt: NOW - 1_500, streamMovedAt: NOW - 1_400 };
/** The last sign was 1.4 s ago; the neighbour was asked when that had become a silence. */
const asked = (silentForMs: number | null, askedAt = NOW - 100) => ({ ...silent, neighbour: { askedAt, silentForMs } });

describe('§4.4: the verdict on the primary', () => {
  const cases: readonly (readonly [string, Partial<PrimaryEvidence>, ReturnType<typeof judgePrimary>])[] = [
    ['alive while it is heard', {}, { kind: 'alive', isConfirmed: true }],
    ['alive while only its stream moves', { heardAt: undefined }, { kind: 'alive', isConfirmed: true }],
    ['alive while only its heartbeat comes', { streamMovedAt: undefined }, { kind: 'alive', isConfirmed: true }],
    [
      'alive a moment after it began to be watched',
      { heardAt: undefined, streamMovedAt: undefined, watchedSince: NOW - 1_100 },
      { kind: 'alive', isConfirmed: true },
    ],
    ['gone after a reset and two refusals', { brokenAt: NOW - 60, refusals: 2 }, { kind: 'gone', isConfirmed: true }],
    ['alive after a reset and one refusal', { brokenAt: NOW - 60, refusals: 1 }, { kind: 'alive', isConfirmed: true }],
    ['alive for refusals without a reset', { refusals: 5 }, { kind: 'alive', isConfirmed: true }],
    ['silent after 1.2 s without a sign, unconfirmed by itself', silent, { kind: 'silent', isConfirmed: false }],
    ['silent when the neighbour has heard nothing either', asked(1_300), { kind: 'silent', isConfirmed: true }],
    ['unconfirmed when the neighbour hears it', asked(200), { kind: 'silent', isConfirmed: false }],
    [
      'unconfirmed when the neighbour was asked before the silence',
      asked(1_300, NOW - 300),
      { kind: 'silent', isConfirmed: false },
    ],
    ['silent without a neighbour, when etcd was read since', asked(null), { kind: 'silent', isConfirmed: true }],
    [
      'unconfirmed without neighbour and etcd: this side may be the one cut off',
      { ...asked(null), etcdReadAt: NOW - 1_450 },
      { kind: 'silent', isConfirmed: false },
    ],
    [
      'unconfirmed when etcd never answered',
      { ...asked(null), etcdReadAt: undefined },
      { kind: 'silent', isConfirmed: false },
    ],
    [
      'detached when it is heard and has had no key for 10 s',
      { absentSince: NOW - 10_000 },
      { kind: 'detached', isConfirmed: true },
    ],
    ['alive when its key has been away for less', { absentSince: NOW - 9_900 }, { kind: 'alive', isConfirmed: true }],
    [
      'detached when only the neighbour hears it',
      { ...asked(200), absentSince: NOW - 10_000 },
      { kind: 'detached', isConfirmed: true },
    ],
    [
      'gone goes before silent and detached',
      { ...asked(1_300), brokenAt: NOW - 60, refusals: 2, absentSince: 0 },
      { kind: 'gone', isConfirmed: true },
    ],
  ];
  it.each(cases)('%s', (_, evidence, expected) => {
    expect(judgePrimary({ ...well, ...evidence }, NOW, defaultTimes)).toEqual(expected);
  });
});

const fine: SyncEvidence = {
  watchedSince: 0,
  answeredAt: NOW - 100,
  answer: { incarnation: 'life-1', health: 'ok', terminating: false },
  brokenAt: undefined,
  refusals: 0,
  sentToAt: NOW - 20,
  repliedAt: NOW - 200,
  flushMovedAt: NOW - 200,
  commitWaitingSince: undefined,
  absentSince: undefined,
  incarnation: 'life-1',
};
const answer = (more: object) => ({
  answer: { incarnation: 'life-1', health: 'ok' as const, terminating: false, ...more },
});

describe('§4.4: the verdict on the sync', () => {
  const cases: readonly (readonly [string, Partial<SyncEvidence>, ReturnType<typeof judgeSync>['kind']])[] = [
    ['fine while it answers, streams and confirms', {}, 'fine'],
    ['gone after a reset and two refusals', { brokenAt: NOW - 60, refusals: 2 }, 'gone'],
    ['fine after one refusal', { brokenAt: NOW - 60, refusals: 1 }, 'fine'],
    [
      'silent when it does not answer and a commit waits',
      { answeredAt: NOW - 1_200, commitWaitingSince: NOW - 100 },
      'silent',
    ],
    [
      'silent when it does not answer and has not replied for 2 s',
      { answeredAt: NOW - 1_200, repliedAt: NOW - 2_000 },
      'silent',
    ],
    ['fine when only its sitter is slow', { answeredAt: NOW - 1_200 }, 'fine'],
    ['lost when its sender has been away for 1 s', { sentToAt: NOW - 1_000 }, 'lost'],
    ['fine while it reconnects', { sentToAt: NOW - 900 }, 'fine'],
    [
      'fine while it has not been there yet: it has 3 s to follow',
      { sentToAt: undefined, watchedSince: NOW - 2_900, repliedAt: undefined },
      'fine',
    ],
    ['lost when it has not come in 3 s', { sentToAt: undefined, watchedSince: NOW - 3_000 }, 'lost'],
    [
      'stalled when commits wait and nothing moves for 3 s',
      { commitWaitingSince: NOW - 3_000, flushMovedAt: NOW - 3_000 },
      'stalled',
    ],
    ['fine when commits wait and it moves', { commitWaitingSince: NOW - 9_000 }, 'fine'],
    ['fine when nothing moves because nothing is written', { flushMovedAt: NOW - 60_000 }, 'fine'],
    ['unfit when it has another directory', answer({ incarnation: 'another' }), 'unfit'],
    ['unfit when it is leaving', answer({ terminating: true }), 'unfit'],
    ['unfit when its disk is full', answer({ health: 'disk-full' }), 'unfit'],
    ['fine before its first answer', { answer: undefined, watchedSince: NOW - 500, answeredAt: undefined }, 'fine'],
    ['detached without a key for 10 s', { absentSince: NOW - 10_000 }, 'detached'],
    ['fine without a key for less', { absentSince: NOW - 9_900 }, 'fine'],
    [
      'fine just after a new pair was declared, whatever was before',
      { watchedSince: NOW - 500, answeredAt: NOW - 9_000, sentToAt: NOW - 9_000, repliedAt: NOW - 9_000 },
      'fine',
    ],
  ];
  it.each(cases)('%s', (_, evidence, kind) => {
    expect(judgeSync({ ...fine, ...evidence }, NOW, defaultTimes).kind).toBe(kind);
  });
});
