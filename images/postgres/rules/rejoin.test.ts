import { parseLsn } from '../../../lib/shard/lsn.ts';
import { anEndpoint, aRef, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { rejoin } from './rejoin.ts';

/** A former primary of timeline 2, which ended at 0/2800000. */
const down: Difference = { role: 'deposed', process: 'crashed', directory: { timeline: 2, wasStandby: false } };
const clean = (end: string): Difference => ({
  role: 'deposed',
  process: 'down',
  directory: { timeline: 2, end: parseLsn(end), wasStandby: false },
});
const rewind = { kind: 'rewind', from: anEndpoint(0) } as const;
const backup = { kind: 'base-backup', from: anEndpoint(0) } as const;
const failed = (kind: string, count: number, agoMs: number) => ({
  rest: { failures: { [kind]: { count, lastAt: NOW - agoMs, message: 'no' } } },
});
const unreached = (kind: string, agoMs: number): Difference => ({
  rest: { failures: { [kind]: { count: 0, lastAt: NOW - agoMs, message: 'no answer', isUnreachable: true } } },
});
const idle = (ms: number, more: object = {}) => ({ isStreaming: false, followedAt: NOW - ms, ...more });

describe('a deposed peer', () => {
  checkRule(rejoin, [
    ['is rewound', down, rewind],
    [
      'waits until the new primary is well',
      { ...down, records: { 'pg-1-0': { health: 'recovering' } } },
      { kind: 'wait', why: /pg-1-0/ },
    ],
    [
      'waits for the first checkpoint of the new primary',
      { ...down, records: { 'pg-1-0': { rewindable: false } } },
      { kind: 'wait', why: /pg-1-0/ },
    ],
    [
      'waits for the promotion of the new primary',
      { ...down, records: { 'pg-1-0': { timeline: 2 } } },
      { kind: 'wait', why: /pg-1-0/ },
    ],
    [
      'is started, and not rewound, when it was a standby before it crashed',
      { ...down, directory: { timeline: 2, wasStandby: true } },
      { kind: 'start' },
    ],
    ['is not rewound when it ended in order before the fork', clean('0/2800000'), { kind: 'start' }],
    ['is rewound when it ended in order beyond the fork', clean('0/2800001'), rewind],
    [
      'starts below the tail once it is on the primary’s timeline',
      { role: 'deposed', process: 'crashed' },
      { kind: 'start', settings: expect.objectContaining({ role: 'standby', upstream: anEndpoint(1) }) },
    ],
    ['is rebuilt when the rewind failed', { ...down, ...failed('rewind', 1, 100) }, backup],
    ['is rebuilt when the rewind left something behind', { ...down, directory: 'unfinished' }, backup],
    [
      'is rebuilt when its timeline is one that it made itself',
      { role: 'deposed', process: 'crashed', local: { promotedTimelines: [{ generation: 3, timeline: 3 }] } },
      backup,
    ],
    ['is rebuilt when its timeline is unknown to the shard', { ...down, directory: { timeline: 9 } }, backup],
    ['is rebuilt when it has nothing', { ...down, directory: 'none' }, backup],
    [
      'is not rebuilt again at once',
      { ...down, directory: 'none', ...failed('base-backup', 1, 9_000) },
      { kind: 'wait', why: /failed/ },
    ],
    ['is rebuilt again after a while', { ...down, directory: 'none', ...failed('base-backup', 1, 10_000) }, backup],
    [
      'is given up after the last attempt',
      { ...down, directory: 'none', ...failed('base-backup', 4, 900_000) },
      { kind: 'wait', why: /^RebuildFailed/ },
    ],
    [
      'is rebuilt as often as it takes to reach the primary',
      { ...down, directory: 'none', ...unreached('base-backup', 5_000) },
      backup,
    ],
    [
      'does not ask all the time',
      { ...down, directory: 'none', ...unreached('base-backup', 4_900) },
      { kind: 'wait', why: 'no answer' },
    ],
    [
      'is rewound all the same when the primary did not answer at first',
      { ...down, ...unreached('rewind', 5_000) },
      { kind: 'rewind' },
    ],
    ['is left as it is while frozen', { ...down, isFrozen: true }, { kind: 'wait', why: /^ClusterFrozen/ }],
    ['is left as it is when it is asked to end', { ...down, isTerminating: true }, undefined],
    [
      'is left to a rebuild that was asked for',
      { ...down, requests: { rebuild: { id: 'r', generation: 4, by: 'op', peer: 'pg-1-2' } } },
      undefined,
    ],
    ['waits for its server', { role: 'deposed', process: 'starting' }, { kind: 'wait' }],
    ['ends what is left of its server first', { role: 'deposed', process: 'remains' }, { kind: 'stop', mode: 'kill' }],
    ['says so when it streams', { role: 'deposed' }, { kind: 'set-status', status: 'rejoin-ready' }],
    [
      'says so anew in a new generation',
      { role: 'deposed', status: 'rejoin-ready', evidence: { statusGeneration: 3, status: 'rejoin-ready' } },
      { kind: 'set-status', status: 'rejoin-ready' },
    ],
    ['then waits for the primary to take it back', { role: 'deposed', status: 'rejoin-ready' }, undefined],
    [
      'follows the tail when that has changed',
      { role: 'deposed', written: { upstream: anEndpoint(0) } },
      { kind: 'restore-receiver', settings: expect.objectContaining({ upstream: anEndpoint(1) }) },
    ],
    [
      'follows the next above when the tail is down',
      { role: 'deposed', records: { 'pg-1-1': { health: 'starting' } } },
      { kind: 'restore-receiver', settings: expect.objectContaining({ upstream: anEndpoint(0) }) },
    ],
    ['has its password back', { role: 'deposed', server: { receiverPassword: 'empty' } }, { kind: 'restore-receiver' }],
    ['waits until it streams', { role: 'deposed', answered: idle(1_000) }, { kind: 'wait', why: /stream from pg-1-1/ }],
  ]);
});

describe('a peer that the state does not know', () => {
  checkRule(rejoin, [
    ['is rebuilt when it has nothing', { role: 'none', process: 'down', directory: 'none' }, backup],
    [
      'is rewound when it was a primary on an older timeline',
      { role: 'none', process: 'down', directory: { timeline: 2, wasStandby: false } },
      rewind,
    ],
    ['says so when it streams', { role: 'none' }, { kind: 'set-status', status: 'rejoin-ready' }],
    [
      'joins a shard of one below its primary',
      { role: 'none', state: { sync: null, oneNode: 'created' }, process: 'down' },
      { kind: 'start', settings: expect.objectContaining({ upstream: anEndpoint(0) }) },
    ],
  ]);
});

describe('a standby of the chain that cannot follow', () => {
  const beyond = { timeline: 2, received: parseLsn('0/2900000'), replayed: parseLsn('0/2900000') };
  const fork = { initTimeline: 2, initWal: '0/2800000' };
  checkRule(rejoin, [
    ['is rewound beyond the fork', { role: 'async', answered: idle(10_001, beyond), state: fork }, rewind],
    ['is rewound where the fork is not known', { role: 'async', answered: idle(10_001, beyond) }, rewind],
    [
      'is not rewound before the fork: only the way is closed',
      {
        role: 'async',
        answered: idle(10_001, { ...beyond, received: undefined, replayed: parseLsn('0/2800000') }),
        state: fork,
      },
      undefined,
    ],
    ['is given ten seconds', { role: 'async', answered: idle(9_900, beyond), state: fork }, undefined],
    [
      'is given ten seconds from its start',
      { role: 'async', answered: idle(60_000, beyond), state: fork, server: { starts: [NOW - 5_000] } },
      undefined,
    ],
    [
      'is rebuilt when a rewind has not helped',
      { role: 'async', answered: idle(10_001, beyond), state: fork, ...failed('rewind', 1, 100) },
      backup,
    ],
    ['waits on the right timeline', { role: 'async', answered: idle(299_000), server: { starts: [] } }, undefined],
    [
      'is rebuilt on the right timeline after five minutes',
      { role: 'async', answered: idle(300_001), server: { starts: [] } },
      backup,
    ],
    [
      'waits for its upstream',
      { role: 'async', answered: idle(400_000), server: { starts: [] }, records: { 'pg-1-1': 'absent' } },
      undefined,
    ],
    ['waits while frozen', { role: 'async', isFrozen: true, answered: idle(10_001, beyond) }, undefined],
    [
      'is rewound as the sync where it may not take over',
      { role: 'sync', answered: idle(10_001, beyond), state: { initTimeline: 3 } },
      rewind,
    ],
    [
      'keeps what it holds as the sync that may take over',
      { role: 'sync', answered: idle(400_000), server: { starts: [] } },
      undefined,
    ],
    ['is not meant while it streams', { role: 'async' }, undefined],
  ]);
  checkRule(rejoin, [['is not a primary', {}, undefined]]);
  checkRule(rejoin, [
    [
      'is nothing before the shard has a database',
      {
        role: 'deposed',
        state: { systemId: null, deposed: [{ ...aRef(2), sinceGeneration: 2, forkTimeline: 1, forkWal: '0/0' }] },
      },
      undefined,
    ],
  ]);
});

describe('a peer that was taken back', () => {
  const said = { status: 'rejoin-ready' } as const;
  checkRule(rejoin, [
    ['says so', { role: 'async', ...said }, { kind: 'set-status', status: 'active' }],
    [
      'says so as the primary, and with its server down',
      { ...said, process: 'down' },
      { kind: 'set-status', status: 'active' },
    ],
  ]);
});
