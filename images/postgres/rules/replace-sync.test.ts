import { lsn } from '../../../lib/shard/lsn.ts';
import { aRef, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { replaceSync } from './replace-sync.ts';

const join = (candidate: string, ...old: string[]) =>
  ({
    kind: 'join-sync',
    candidate,
    settings: expect.objectContaining({ ssn: [candidate, ...old], gate: 'open', readOnly: false }),
  }) as const;
const byA0 = join('pg-1-2', 'pg-1-1');
const noCandidate = { kind: 'wait', why: /^NoCandidate/, yields: true } as const;
const lost: Difference = { sync: 'lost' };
const verdict = (sinceMs: number) => ({ evidence: { sync: { kind: 'lost', since: NOW - sinceMs } as const } });
const behind = (walEnd: string) => ({ 'pg-1-2': { walEnd } });
const farBehind = { answers: { 'pg-1-2': { received: '0/1' } }, answered: { flushed: lsn(0x1000_0000n) } };

describe('J1: the sync is replaced', () => {
  checkRule(replaceSync, [
    ...(['gone', 'silent', 'lost', 'stalled', 'unfit', 'detached'] as const).map(
      kind => [`when it is ${kind}`, { sync: kind }, byA0] as const,
    ),
    [
      'when a rebuild of it was asked for',
      { requests: { rebuild: { id: 'r', generation: 4, by: 'op', peer: 'pg-1-1' } } },
      byA0,
    ],
    [
      'not while this primary’s own server does not answer: only that makes the sync look silent',
      { sync: 'lost', server: { unansweredSince: NOW - 1_000 } },
      undefined,
    ],
    ['when it is leaving', { records: { 'pg-1-1': { status: 'leaving' } } }, byA0],
    [
      'when it is to go for good',
      { peers: 5, config: { peers: 3 }, state: { sync: aRef(4), async: [aRef(2)] } },
      join('pg-1-2', 'pg-1-4'),
    ],
    [
      'when there is none and the shard is meant to have one',
      { peers: 1, config: { peers: 3 }, state: { async: [aRef(2)] } },
      join('pg-1-2'),
    ],
    [
      'by the first of the chain that is well',
      { ...lost, peers: 5, records: { 'pg-1-2': { health: 'starting' } } },
      join('pg-1-3', 'pg-1-1'),
    ],
    [
      'by the first of the chain that is close',
      { ...lost, peers: 5, ...farBehind, records: { 'pg-1-3': { walEnd: '0/F800000' } } },
      join('pg-1-3', 'pg-1-1'),
    ],
    ['by whoever is closest after ten seconds', { ...farBehind, ...verdict(10_000) }, byA0],
    [
      'while opening, when it has not come within three seconds',
      { ...verdict(3_000), written: { gate: 'closed', readOnly: true } },
      { kind: 'join-sync', settings: expect.objectContaining({ gate: 'closed', readOnly: true }) },
    ],
    [
      'while opening at once when it is gone',
      { evidence: { sync: { kind: 'gone', since: NOW } }, written: { gate: 'closed' } },
      { kind: 'join-sync' },
    ],
  ]);
});

describe('J1: the sync stays', () => {
  checkRule(replaceSync, [
    ['while it is fine', {}, undefined],
    ['while it only starts together with the primary', { ...verdict(2_900), written: { gate: 'closed' } }, undefined],
    ['while frozen', { ...lost, isFrozen: true }, noCandidate],
    ['without a registration', { ...lost, isRegistered: false }, noCandidate],
    ['when nobody is well', { ...lost, records: { 'pg-1-2': { health: 'rebuild-failed' } } }, noCandidate],
    ['when nobody is there', { ...lost, records: { 'pg-1-2': 'absent' } }, noCandidate],
    ['when the other has foreign data', { ...lost, records: { 'pg-1-2': { systemId: '666' } } }, noCandidate],
    [
      'when the other has no known directory',
      { ...lost, state: { async: [aRef(2, { incarnation: null })] } },
      noCandidate,
    ],
    ['when the other has fallen silent too', { ...lost, answers: { 'pg-1-2': { at: NOW - 1_200 } } }, noCandidate],
    ['while a close one may still come', { ...farBehind, ...verdict(9_900) }, noCandidate],
    [
      'for a request of another generation',
      { requests: { rebuild: { id: 'r', generation: 3, by: 'op', peer: 'pg-1-1' } } },
      undefined,
    ],
    ['while the primary is giving its role away', { ...lost, status: 'handoff' }, undefined],
    ['on a primary that has not its timeline yet', { ...lost, answered: { timeline: 2 } }, undefined],
    ['before the shard has a database', { ...lost, state: { systemId: null } }, undefined],
    ['while its server is down', { ...lost, process: 'down' }, undefined],
    ['and a shard of one stays one while it is meant to be', { peers: 1 }, undefined],
    [
      'and a shard of one waits for a close one however long it takes',
      {
        peers: 1,
        config: { peers: 3 },
        state: { async: [aRef(2)] },
        answered: { flushed: lsn(0x1000_0000n) },
        records: behind('0/1'),
      },
      undefined,
    ],
  ]);
  checkRule(replaceSync, [['for all that a sync can see', { role: 'sync' }, undefined]]);
});

describe('without a candidate', () => {
  const alone: Difference = { ...lost, records: { 'pg-1-2': 'absent' } };
  checkRule(replaceSync, [
    [
      'new writes are refused once a commit has waited for two seconds',
      { ...alone, answered: { commitWaitingSince: NOW - 2_000 } },
      { kind: 'configure', settings: expect.objectContaining({ readOnly: true, gate: 'open', ssn: ['pg-1-1'] }) },
    ],
    ['they are not refused sooner', { ...alone, answered: { commitWaitingSince: NOW - 1_900 } }, noCandidate],
    [
      'they are refused once',
      { ...alone, answered: { commitWaitingSince: NOW - 9_000 }, written: { readOnly: true } },
      noCandidate,
    ],
    [
      'they are refused in a frozen shard too',
      { ...lost, isFrozen: true, answered: { commitWaitingSince: NOW - 2_000 } },
      { kind: 'configure' },
    ],
  ]);
});
