import { lsn } from '../../../lib/shard/lsn.ts';
import { type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { abdicate } from './abdicate.ts';

const crashed: Difference = { process: 'crashed' };
const offer = { kind: 'abdicate' } as const;
const unwell = (answer: object): Difference => ({ ...crashed, answers: { 'pg-1-1': answer } });

describe('a primary abdicates', () => {
  checkRule(abdicate, [
    ['when its server has ended', crashed, { ...offer, why: /not running/ }],
    ['before what is left of its server has ended', { process: 'remains' }, { ...offer, why: /ended/ }],
    [
      'when its server has not answered for five seconds',
      { server: { unansweredSince: NOW - 5_000 } },
      { ...offer, why: /does not answer/ },
    ],
    ['when its volume is empty', { process: 'down', directory: 'none' }, { ...offer, why: /volume/ }],
    [
      'when its volume was replaced',
      { process: 'down', directory: { incarnation: 'another' } },
      { ...offer, why: /volume/ },
    ],
    [
      'when its WAL ends before the generation began',
      { answered: { flushed: lsn(0x200_0000n) }, answers: { 'pg-1-1': { received: '0/3000000' } } },
      { ...offer, why: /volume/ },
    ],
    [
      'when the sync holds more than it does',
      { answers: { 'pg-1-1': { received: '0/5000008' } } },
      { ...offer, why: /volume/ },
    ],
    [
      'when it was promoted to another timeline than the reserved one',
      { answered: { timeline: 5 } },
      { ...offer, why: /timeline/ },
    ],
    [
      'when a sender hangs',
      { rest: { failures: { 'declare-sync': { count: 3, lastAt: NOW - 100, message: '' } } } },
      { ...offer, why: /sender/ },
    ],
    [
      'when its promotion does not end',
      {
        answered: { inRecovery: true },
        rest: { failures: { promote: { count: 40, lastAt: NOW - 100, message: '' } } },
      },
      { ...offer, why: /promotion/ },
    ],
    [
      'with manual failover on a request',
      { ...crashed, isManual: true, requests: { switchover: { id: 'r', generation: 4, by: 'op' } } },
      offer,
    ],
    ['while it is asked to end', { ...crashed, isTerminating: true }, offer],
  ]);
});

describe('a primary does not abdicate', () => {
  checkRule(abdicate, [
    ['while all is well', {}, undefined],
    ['before five seconds without an answer', { server: { unansweredSince: NOW - 4_900 } }, undefined],
    ['while frozen', { ...crashed, isFrozen: true }, undefined],
    ['by itself with manual failover', { ...crashed, isManual: true }, undefined],
    ['without a registration', { ...crashed, isRegistered: false }, undefined],
    ['again soon after nobody accepted', { ...crashed, evidence: { withdrewAt: NOW - 20_000 } }, undefined],
    ['twice', { ...crashed, status: 'abdicating' }, undefined],
    ['before the shard has a database', { ...crashed, state: { systemId: null } }, undefined],
    ['to a sync that does not answer any more', unwell({ at: NOW - 1_200 }), undefined],
    ['to a sync that is not in recovery with a standby of its own', unwell({ ready: false }), undefined],
    ['to a sync with another directory', unwell({ incarnation: 'another' }), undefined],
    ['to a sync that knows another generation', unwell({ generation: 3 }), undefined],
    ['to a sync that is not well', unwell({ health: 'disk-full' }), undefined],
    ['to a sync that is ending too', unwell({ terminating: true }), undefined],
    ['to a sync that does not hold initWal', unwell({ received: '0/2FFFFFF' }), undefined],
    ['without a sync', { ...crashed, peers: 1 }, undefined],
    [
      'for the answer of a sync that was given after its own look',
      { answers: { 'pg-1-1': { received: '0/5000008', at: NOW - 10 } } },
      undefined,
    ],
  ]);
});

describe('a process that has just begun', () => {
  const fresh = { statusSince: NOW - 300 };
  checkRule(abdicate, [
    [
      'asks the sync before it recovers by itself',
      { ...crashed, answers: { 'pg-1-1': 'absent' }, evidence: { statusSince: NOW - 300, answers: {} } },
      { kind: 'wait', why: /asking/ },
    ],
    [
      'waits a moment for its registration',
      { ...crashed, isRegistered: false, evidence: fresh },
      { kind: 'wait', why: /asking/ },
    ],
    [
      'does not wait when the sync says no',
      { ...unwell({ ready: false }), evidence: { statusSince: NOW - 300 } },
      undefined,
    ],
    ['does not wait for long', { ...crashed, evidence: { statusSince: NOW - 1_200, answers: {} } }, undefined],
    ['does not wait alone', { ...crashed, peers: 1, evidence: fresh }, undefined],
  ]);
});
