import { aRef, type Difference, end, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { open } from './open.ts';

const closed: Difference = { written: { gate: 'closed', readOnly: true, dumps: false } };
const readOnly: Difference = { written: { readOnly: true } };
const wide = {
  kind: 'open',
  settings: expect.objectContaining({ role: 'primary', gate: 'open', readOnly: false, ssn: ['pg-1-1'] }),
} as const;
const wait = (why: RegExp) => ({ kind: 'wait', yields: true, why }) as const;

describe('7.8: a primary opens', () => {
  checkRule(open, [
    ['once the sync holds everything', closed, wide],
    [
      'alone in a one-node state',
      { ...closed, peers: 1 },
      { kind: 'open', settings: expect.objectContaining({ ssn: [] }) },
    ],
    ['while frozen', { ...closed, isFrozen: true }, wide],
    ['with a status left over from another role', { ...closed, status: 'rejoin-ready' }, wide],
    [
      'again when the databases have changed',
      { config: { databases: ['index', 'jobs'] }, written: { databases: ['index'] } },
      { kind: 'open', settings: expect.objectContaining({ databases: ['index', 'jobs'] }) },
    ],
    [
      'again when the first attempt failed',
      { rest: { failures: { open: { count: 1, lastAt: NOW, message: '' } } } },
      wide,
    ],
    ['to writes again, once the new sync has caught up', readOnly, wide],
    [
      'to writes again, although the sync does not hold the last moment',
      { ...readOnly, sender: { flushed: end(-100) } },
      wide,
    ],
  ]);
});

describe('7.8: a primary stays closed', () => {
  checkRule(open, [
    ['until its sync streams', { ...closed, sender: 'absent' }, wait(/pg-1-1 to stream/)],
    ['until its sync has caught up', { ...closed, sender: { state: 'catchup' } }, wait(/pg-1-1 to stream/)],
    ['until its sync is one that commits wait for', { ...closed, sender: { priority: 0 } }, wait(/to stream/)],
    [
      'until its sync holds everything that could be read (G4)',
      { ...closed, sender: { flushed: end(-1) } },
      wait(/holds everything/),
    ],
    [
      'until its sync holds what the generation begins with',
      { ...closed, state: { initWal: '0/5000001' }, answered: { flushed: end(1) } },
      wait(/holds everything/),
    ],
    [
      'until the life of its sync is recorded',
      { ...closed, state: { sync: aRef(1, { incarnation: null }) } },
      wait(/no database yet/),
    ],
    ['while a safety setting is not in force', { ...closed, server: { drift: 'fsync' } }, wait(/^ConfigDrift/)],
    ['on a timeline that nobody reserved', { ...closed, answered: { timeline: 4 } }, wait(/^TimelineMismatch/)],
    [
      'to take a timeline reserved beyond its own',
      { ...closed, state: { timeline: 4 }, answered: { timeline: 3 } },
      { kind: 'stop', mode: 'fast', why: /^TimelineMismatch/ },
    ],
    ['while it is asked to end', { ...closed, isTerminating: true }, undefined],
    ['while it is handing over', { ...closed, status: 'handoff' }, undefined],
    ['while it abdicates', { ...closed, status: 'abdicating' }, undefined],
    ['on a volume that lost data', { ...closed, answers: { 'pg-1-1': { received: '0/5000001' } } }, undefined],
    ['before there is a database', { ...closed, state: { systemId: null } }, undefined],
    [
      'to writes while commits are held up',
      { ...readOnly, answered: { commitWaitingSince: NOW - 1_000 } },
      wait(/does not confirm/),
    ],
  ]);
  checkRule(open, [
    ['when it is a sync', { role: 'sync' }, undefined],
    ['no longer than it has to', {}, undefined],
  ]);
});
