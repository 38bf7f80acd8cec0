import { anEndpoint, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { start } from './start.ts';

const five = [1, 2, 3, 4, 5].map(n => NOW - n * 1_000);
const loop: Difference = { process: 'crashed', server: { starts: five.toReversed(), crashedAt: NOW - 10 } };
const handedOver: Difference = {
  role: 'async',
  process: 'down',
  state: { cause: 'switchover' },
  server: { starts: [NOW - 60_000] },
};

describe('a server that is down', () => {
  checkRule(start, [
    [
      'starts as primary with the gate closed, read-only, and its sync named',
      { process: 'crashed' },
      {
        kind: 'start',
        settings: expect.objectContaining({ role: 'primary', gate: 'closed', readOnly: true, ssn: ['pg-1-1'] }),
      },
    ],
    [
      'starts with nobody named only in a one-node state',
      { process: 'crashed', peers: 1 },
      { kind: 'start', settings: expect.objectContaining({ ssn: [] }) },
    ],
    [
      'starts as the sync, naming its successor',
      { role: 'sync', process: 'crashed' },
      {
        kind: 'start',
        settings: expect.objectContaining({
          role: 'standby',
          ssn: ['pg-1-2'],
          upstream: anEndpoint(0),
          gate: 'closed',
        }),
      },
    ],
    [
      'lets its successor open first',
      { ...handedOver, evidence: { statusSince: NOW - 700 } },
      { kind: 'wait', why: /successor/ },
    ],
    [
      'does not wait for its successor for long',
      { ...handedOver, evidence: { statusSince: NOW - 900 } },
      { kind: 'start' },
    ],
    [
      'does not wait when it was another process that handed over',
      { ...handedOver, server: { starts: [] }, evidence: { statusSince: NOW - 700 } },
      { kind: 'start' },
    ],
    [
      'starts as an async, naming nobody',
      { role: 'async', process: 'down' },
      {
        kind: 'start',
        settings: expect.objectContaining({ role: 'standby', ssn: ['_nobody_'], upstream: anEndpoint(1) }),
      },
    ],
    [
      'starts as the sync with the receiver still cut, when it was stopped for that',
      {
        role: 'sync',
        process: 'down',
        rest: { failures: { 'cut-receiver': { count: 1, lastAt: NOW - 2_000, message: '' } } },
      },
      { kind: 'start', settings: expect.objectContaining({ upstream: undefined }) },
    ],
    ['starts while frozen', { process: 'crashed', isFrozen: true }, { kind: 'start' }],
    ['starts without a registration', { process: 'crashed', isRegistered: false }, { kind: 'start' }],
    [
      'does not start when it has failed to a moment ago',
      { process: 'down', rest: { failures: { start: { count: 2, lastAt: NOW - 900, message: 'no' } } } },
      { kind: 'wait', why: /no$/ },
    ],
    [
      'tries again after a second',
      { process: 'down', rest: { failures: { start: { count: 2, lastAt: NOW - 1_000, message: 'no' } } } },
      { kind: 'start' },
    ],
    [
      'does not start as primary on a replaced volume',
      { process: 'down', directory: { incarnation: 'another' } },
      { kind: 'wait', why: /^LostData/ },
    ],
    [
      'does not start as primary on an empty one',
      { process: 'down', directory: 'none' },
      { kind: 'wait', why: /^LostData/ },
    ],
    ['does not start as primary after five crashes', loop, { kind: 'wait', why: /^CrashLoop/ }],
    [
      'starts as primary however often it was switched over',
      { process: 'down', server: { starts: five.toReversed() } },
      { kind: 'start' },
    ],
    ['starts as a standby after five crashes', { ...loop, role: 'async' }, { kind: 'start' }],
    ['does not start when it is asked to end', { process: 'down', isTerminating: true }, undefined],
    ['does not start outside the chain', { role: 'deposed', process: 'down' }, undefined],
    [
      'does not start before there is a database',
      { role: 'async', process: 'down', state: { systemId: null } },
      undefined,
    ],
  ]);
});

describe('a server that is not down', () => {
  checkRule(start, [
    ['is let alone', {}, undefined],
    ['is let alone while it starts', { process: 'starting', server: { unansweredSince: NOW - 60_000 } }, undefined],
    ['is ended where only a part of it is left', { process: 'remains' }, { kind: 'stop', mode: 'kill' }],
    [
      'is ended when it has not answered for five seconds and nobody could take its role',
      { server: { unansweredSince: NOW - 5_000 } },
      { kind: 'stop', mode: 'kill' },
    ],
    [
      'is ended as a standby too',
      { role: 'sync', server: { unansweredSince: NOW - 5_000 } },
      { kind: 'stop', mode: 'kill' },
    ],
    ['is given five seconds', { server: { unansweredSince: NOW - 4_900 } }, undefined],
  ]);
});
