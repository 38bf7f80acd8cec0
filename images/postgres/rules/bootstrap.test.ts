import { lsn } from '../../../lib/shard/lsn.ts';
import { aRef, aState, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { bootstrap } from './bootstrap.ts';

const nothing = { systemId: null, incarnation: null, health: 'starting' } as const;
const begin: Difference = {
  state: 'absent',
  process: 'down',
  directory: 'none',
  local: { incarnation: null, systemId: null },
  etcd: { bootstrap: { value: { at: 'now' }, modRevision: 45 } },
  records: { 'pg-1-0': nothing, 'pg-1-1': nothing, 'pg-1-2': nothing },
};
const lives = {
  primary: aRef(0, { incarnation: null }),
  sync: aRef(1, { incarnation: null }),
  async: [aRef(2, { incarnation: null })],
};
const born: Difference = {
  ...begin,
  etcd: {},
  state: { ...aState(), ...lives, systemId: null, pgMajor: null, generation: 1, seq: 1, timeline: 1, initTimeline: 1 },
};

describe('B1', () => {
  checkRule(bootstrap, [
    ['is done by the first to have registered', begin, { kind: 'bootstrap' }],
    ['is left to the first by the others', { ...begin, role: 'sync' }, { kind: 'wait', why: /pg-1-0 begins/ }],
    ['needs leave', { ...begin, etcd: {} }, { kind: 'wait', why: /no leave/ }],
    [
      'needs everybody',
      { ...begin, records: { ...begin.records, 'pg-1-2': 'absent' } },
      { kind: 'wait', why: /2 of 3/ },
    ],
    [
      'does not count peers beyond the configured',
      {
        ...begin,
        peers: 5,
        config: { peers: 3 },
        records: { ...begin.records, 'pg-1-3': nothing, 'pg-1-2': 'absent' },
      },
      { kind: 'wait', why: /2 of 3/ },
    ],
    [
      'is not done where somebody holds a database',
      { ...begin, records: { ...begin.records, 'pg-1-2': {} } },
      { kind: 'wait', why: /pg-1-2 already/ },
    ],
    [
      'is not done on a volume that has held one',
      { ...begin, local: { systemId: '7' } },
      { kind: 'wait', why: /^StateMissing/ },
    ],
    ['is done alone for one peer', { ...begin, peers: 1, records: { 'pg-1-0': nothing } }, { kind: 'bootstrap' }],
    ['needs a registration', { ...begin, isRegistered: false }, undefined],
    ['is not begun by a process that is asked to end', { ...begin, isTerminating: true }, undefined],
  ]);
});

describe('B2', () => {
  const made: Difference = { ...born, directory: { wasStandby: false, timeline: 1 } };
  checkRule(bootstrap, [
    ['begins with initdb', born, { kind: 'initialise' }],
    [
      'restores where a backup was named',
      { ...born, state: { ...(born.state as object), restore: { from: '/backup' } } },
      { kind: 'restore' },
    ],
    [
      'does not hurry after a failure',
      { ...born, rest: { failures: { initialise: { count: 1, lastAt: NOW - 100, message: '' } } } },
      { kind: 'wait' },
    ],
    ['begins anew after an initdb that did not end', { ...born, directory: 'unfinished' }, { kind: 'initialise' }],
    [
      'starts with the gate closed',
      made,
      { kind: 'start', settings: expect.objectContaining({ gate: 'closed', readOnly: true, ssn: ['pg-1-1'] }) },
    ],
    [
      'records the system identifier',
      { ...made, process: 'up', answered: { flushed: lsn(1n), timeline: 1 } },
      { kind: 'record-system' },
    ],
    ['is over once that is recorded', {}, undefined],
    ['is not gone on with by a process that is asked to end', { ...born, isTerminating: true }, undefined],
  ]);
});

describe('B3 and B5', () => {
  checkRule(bootstrap, [
    ['the sync waits for the database', { ...born, role: 'sync' }, { kind: 'wait', why: /pg-1-0 is making/ }],
    [
      'the sync begins anew when the founder is gone',
      { ...born, role: 'sync', primary: 'gone' },
      { kind: 'inherit-bootstrap' },
    ],
    [
      'the sync does not believe a silence that nobody confirms',
      { ...born, role: 'sync', primary: 'silent, unconfirmed' },
      { kind: 'wait' },
    ],
    [
      'the sync does not inherit while frozen',
      { ...born, role: 'sync', primary: 'gone', isFrozen: true },
      { kind: 'wait' },
    ],
    ['nobody inherits once there is a database', { role: 'sync', primary: 'gone' }, undefined],
    ['an async waits', { ...born, role: 'async', primary: 'gone' }, { kind: 'wait' }],
    ['a sync that is asked to end does not wait', { ...born, role: 'sync', isTerminating: true }, undefined],
  ]);
});
