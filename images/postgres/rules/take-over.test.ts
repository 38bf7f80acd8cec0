import { lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import { type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { takeOver } from './take-over.ts';

const due: Difference = { role: 'sync', primary: 'gone' };
const cut: Difference = { ...due, server: { receiverPassword: 'empty' } };
const of = (record: object): Difference => ({ role: 'sync', records: { 'pg-1-0': record } });
const begin = { kind: 'cut-receiver' } as const;
const failedCut = (lastAt: number) => ({
  failures: { 'cut-receiver': { count: 1, lastAt, message: 'ReceiverStuck' } },
});

describe('a sync takes over', () => {
  checkRule(takeOver, [
    ['T-a: from a primary that is gone', due, begin],
    ['T-a: from one whose silence is confirmed', { role: 'sync', primary: 'silent' }, begin],
    ['T-b: from one that abdicates', of({ status: 'abdicating' }), begin],
    [
      'T-b: from one that handed over, once everything has arrived',
      of({ status: 'handed-off', handedOffAt: '0/5000000' }),
      begin,
    ],
    [
      'T-a: from one that died while it handed over, whatever is missing',
      { ...of({ status: 'handed-off', handedOffAt: '0/6000000' }), primary: 'gone' },
      begin,
    ],
    ['T-c: from one without a key', { role: 'sync', primary: 'detached' }, begin],
    ['with the receiver cut', cut, { kind: 'take-over', trigger: 'T-a', candidate: 'pg-1-2' }],
    [
      'T-b goes before what it sees itself',
      { ...of({ status: 'abdicating' }), primary: 'gone', server: { receiverPassword: 'empty' } },
      { kind: 'take-over', trigger: 'T-b' },
    ],
    ['T-c with the receiver cut', { ...cut, primary: 'detached' }, { kind: 'take-over', trigger: 'T-c' }],
    ['with manual failover from one that gave up its role', { ...of({ status: 'abdicating' }), isManual: true }, begin],
    [
      'with manual failover on a request',
      { ...due, isManual: true, requests: { switchover: { id: 'r', generation: 4, by: 'op' } } },
      begin,
    ],
    [
      'on a later timeline that came from where the generation began',
      { ...due, state: { initTimeline: 2, initWal: '0/2800000' } },
      begin,
    ],
    ['after a restart, when only the replayed position is known', { ...due, answered: { received: undefined } }, begin],
    ['of five: its own downstream becomes the sync', { ...cut, peers: 5 }, { kind: 'take-over', candidate: 'pg-1-2' }],
    [
      'after a restart when a receiver would not end',
      { ...cut, rest: failedCut(NOW - 100) },
      { kind: 'stop', why: /ReceiverStuck/ },
    ],
    [
      'goes on once it was started anew',
      { ...cut, server: { receiverPassword: 'empty', starts: [NOW - 50] }, rest: failedCut(NOW - 100) },
      { kind: 'take-over' },
    ],
    ['tries to cut again long after', { ...due, rest: failedCut(NOW - 11_000) }, begin],
  ]);
});

describe('a sync does not take over', () => {
  checkRule(takeOver, [
    ['from a primary that is alive', { role: 'sync' }, undefined],
    ['from one that only it cannot hear', { role: 'sync', primary: 'silent, unconfirmed' }, undefined],
    ['while frozen', { ...due, isFrozen: true }, undefined],
    ['while its own standby is ahead of it', { ...due, sender: { flushed: parseLsn('0/5000001') } }, undefined],
    ['without a registration', { ...due, isRegistered: false }, undefined],
    ['by itself with manual failover', { ...due, isManual: true }, undefined],
    [
      'on a request for another generation',
      { ...due, isManual: true, requests: { switchover: { id: 'r', generation: 3, by: 'op' } } },
      undefined,
    ],
    ['while it is asked to end', { ...due, isTerminating: true }, undefined],
    ['before its server is up', { ...due, process: 'starting' }, undefined],
    [
      'with a directory that is not the one that was declared',
      { ...due, directory: { incarnation: 'another' } },
      undefined,
    ],
    [
      'when the state knows no directory of it',
      {
        ...due,
        state: { sync: { id: 'pg-1-1', incarnation: null, pgUrl: 'postgresql://h:1', sitterUrl: 'http://h:2' } },
      },
      undefined,
    ],
    [
      'without what the generation begins with',
      { ...due, answered: { received: parseLsn('0/2FFFFFF'), replayed: lsn(0n) } },
      undefined,
    ],
    [
      'on a timeline that left the other before the generation began',
      { ...due, state: { initTimeline: 2, initWal: '0/2800001' } },
      undefined,
    ],
    [
      'on a timeline that has nothing to do with it',
      { ...due, state: { initTimeline: 3 }, answered: { timeline: 2 } },
      undefined,
    ],
    [
      'on a timeline beyond the reserved ones',
      { ...due, answered: { timeline: 4, ancestry: [{ timeline: 3, end: parseLsn('0/4000000') }] } },
      undefined,
    ],
    ['without a standby of its own', { ...due, sender: 'absent' }, undefined],
    ['with a standby that has not replied lately', { ...due, sender: { repliedAt: NOW - 2_000 } }, undefined],
    ['with a standby that is still catching up', { ...due, sender: { state: 'catchup' } }, undefined],
    ['with a standby that is leaving', { ...due, records: { 'pg-1-2': { status: 'leaving' } } }, undefined],
    ['with a standby that has no key', { ...due, records: { 'pg-1-2': 'absent' } }, undefined],
    ['with a standby that is to go for good', { ...due, config: { peers: 2 } }, undefined],
    ['from one that abdicated in an earlier generation', of({ status: 'abdicating', statusGeneration: 3 }), undefined],
    ['from one that is only about to hand over', of({ status: 'handoff' }), undefined],
    [
      'from one that handed over more than has arrived',
      of({ status: 'handed-off', handedOffAt: '0/5000001' }),
      undefined,
    ],
    ['from one that handed over and did not say where it ended', of({ status: 'handed-off' }), undefined],
    ['before the shard has a database', { ...due, state: { systemId: null } }, undefined],
  ]);
  checkRule(takeOver, [
    ['that is an async', { ...due, role: 'async' }, undefined],
    ['that is the primary', {}, undefined],
  ]);
});
