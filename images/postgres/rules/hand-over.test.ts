import { lsn } from '../../../lib/shard/lsn.ts';
import { aRef, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { handOver } from './hand-over.ts';

const request = { id: 'r', generation: 4, by: 'op' };
const asked: Difference = { requests: { switchover: request } };
const term: Difference = { isTerminating: true };
const quick = { lastCheckpoint: { at: NOW - 1_000, tookMs: 80 } };
const slow = { lastCheckpoint: { at: NOW - 1_000, tookMs: 2_500 } };
const stop = { kind: 'stop', mode: 'fast' } as const;

describe('W1 to W3', () => {
  checkRule(handOver, [
    ['begin with a checkpoint on a request', asked, { kind: 'checkpoint' }],
    [
      'begin on a request that names the sync',
      { requests: { switchover: { ...request, peer: 'pg-1-1' } } },
      { kind: 'checkpoint' },
    ],
    ['begin on SIGTERM', term, { kind: 'checkpoint' }],
    [
      'begin when this peer is to go for good',
      {
        peers: 5,
        config: { peers: 3 },
        state: { primary: aRef(0, { id: 'pg-1-0' }) },
        rest: { terminatingSince: NOW - 1 },
      },
      { kind: 'checkpoint' },
    ],
    ['begin when the volume is nearly full', { server: { free: { ratio: 0.04, bytes: 4e9 } } }, { kind: 'checkpoint' }],
    ['wait for the checkpoint', { ...asked, rest: { job: { kind: 'checkpoint', since: NOW } } }, { kind: 'wait' }],
    ['say so after a quick checkpoint', { ...asked, rest: quick }, { kind: 'set-status', status: 'handoff' }],
    ['take a second checkpoint after a slow one', { ...asked, rest: slow }, { kind: 'checkpoint' }],
    [
      'do not insist when the time to end runs out',
      { rest: { ...slow, terminatingSince: NOW - 31_000 } },
      { kind: 'set-status' },
    ],
    [
      'take another checkpoint when the last is old',
      { ...asked, rest: { lastCheckpoint: { at: NOW - 10_000, tookMs: 80 } } },
      { kind: 'checkpoint' },
    ],
    ['go on with manual failover: it is planned', { ...asked, isManual: true }, { kind: 'checkpoint' }],
    ['are not begun for nothing', {}, undefined],
    ['are not begun for another generation', { requests: { switchover: { ...request, generation: 3 } } }, undefined],
    ['are not begun for somebody else', { requests: { switchover: { ...request, peer: 'pg-1-2' } } }, undefined],
    ['are not begun twice', { ...asked, status: 'handed-off' }, undefined],
    ['are not begun by a sync', { role: 'sync', isTerminating: true }, undefined],
  ]);
});

describe('a primary that cannot hand over', () => {
  checkRule(handOver, [
    ['leaves the request to be refused: frozen', { ...asked, isFrozen: true }, undefined],
    [
      'leaves the request to be refused: the sync lags',
      { ...asked, answered: { flushed: lsn(0x700_0000n) } },
      undefined,
    ],
    [
      'leaves the request to be refused: the sync has no standby',
      { ...asked, answers: { 'pg-1-1': { ready: false } } },
      undefined,
    ],
    ['leaves the request to be refused: the sync does not stream', { ...asked, sender: 'absent' }, undefined],
    [
      'leaves the request to be refused: it has just taken its role back',
      { ...asked, evidence: { withdrewAt: NOW - 1_000 } },
      undefined,
    ],
    [
      'respects the lag that the request allows',
      { requests: { switchover: { ...request, maxLagBytes: 10 } }, answered: { flushed: lsn(0x500_0010n) } },
      undefined,
    ],
    [
      'waits for a sync whose standby has just attached',
      { ...asked, answers: { 'pg-1-1': { ready: false } }, evidence: { requestedAt: NOW - 2_000 } },
      { kind: 'wait', why: /^NotEligible/, yields: true },
    ],
    [
      'waits for it on SIGTERM too',
      { ...term, answers: { 'pg-1-1': { ready: false } } },
      { kind: 'wait', why: /^NotEligible/, yields: true },
    ],
    [
      'waits for a sync that is connecting',
      { ...asked, sender: 'absent', evidence: { requestedAt: NOW } },
      { kind: 'wait', why: /^NotCaughtUp/ },
    ],
    [
      'stops alone on SIGTERM: the sync has no standby, and it has waited',
      { answers: { 'pg-1-1': { ready: false } }, rest: { terminatingSince: NOW - 3_000 } },
      { ...stop, why: /NotEligible/ },
    ],
    ['stops alone on SIGTERM: frozen', { ...term, isFrozen: true }, { ...stop, why: /Frozen/ }],
    ['stops alone on SIGTERM: no sync', { ...term, peers: 1 }, { ...stop, why: /NoCandidate/ }],
    ['stops alone on SIGTERM: the sync is ending too', { ...term, answers: { 'pg-1-1': { terminating: true } } }, stop],
    ['stops alone on SIGTERM: the sync is gone', { ...term, sync: 'gone', answers: { 'pg-1-1': 'absent' } }, stop],
    ['stops alone on SIGTERM: etcd is away', { ...term, isRegistered: false }, stop],
    [
      'does not wait for a checkpoint then',
      { ...term, isFrozen: true, rest: { job: { kind: 'checkpoint', since: NOW }, terminatingSince: NOW - 100 } },
      { kind: 'abort-job' },
    ],
    ['ends once its server has', { ...term, isFrozen: true, process: 'down' }, { kind: 'exit' }],
  ]);
});
