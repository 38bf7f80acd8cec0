import { type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { leave } from './leave.ts';

const sync: Difference = { role: 'sync', isTerminating: true };
const beat = {
  at: NOW,
  shard: 1,
  id: 'pg-1-0',
  incarnation: 'life-0',
  session: 's',
  generation: 4,
  n: 1,
  status: 'active',
  terminating: true,
  flush: null,
  etcdAgeMs: 0,
} as const;
const during = (kind: 'start' | 'stop' | 'base-backup') =>
  ({ rest: { job: { kind, since: NOW }, terminatingSince: NOW - 100 } }) as const;

describe('SIGTERM', () => {
  checkRule(leave, [
    ['has not come', { role: 'async' }, undefined],
    ['stops an async', { role: 'async', isTerminating: true }, { kind: 'stop', mode: 'fast' }],
    [
      'ends an async whose server has stopped',
      { role: 'async', isTerminating: true, process: 'down' },
      { kind: 'exit' },
    ],
    ['stops a peer outside the chain', { role: 'deposed', isTerminating: true }, { kind: 'stop' }],
    [
      'ends a peer of a shard that does not exist yet',
      { role: 'sync', isTerminating: true, state: 'absent', process: 'down', directory: 'none' },
      { kind: 'exit' },
    ],
    ['breaks a base backup off', { role: 'async', process: 'down', ...during('base-backup') }, { kind: 'abort-job' }],
    ['waits for a stop', { role: 'async', ...during('stop') }, undefined],
    ['has a sync say that it leaves', sync, { kind: 'set-status', status: 'leaving' }],
    ['has a sync wait to be replaced', { ...sync, status: 'leaving' }, { kind: 'wait' }],
    ['has a sync wait where it cannot say so', { ...sync, isRegistered: false }, { kind: 'wait' }],
    [
      'stops a sync after twenty seconds',
      { role: 'sync', status: 'leaving', rest: { terminatingSince: NOW - 20_000 } },
      { kind: 'stop' },
    ],
    [
      'stops a sync at once when its primary is ending too',
      { ...sync, evidence: { heartbeat: beat } },
      { kind: 'stop' },
    ],
    [
      'stops what was the sync once it is replaced',
      { role: 'async', status: 'leaving', isTerminating: true },
      { kind: 'stop' },
    ],
    ['ends a sync whose server is down', { ...sync, process: 'down' }, { kind: 'exit' }],
    ['leaves a primary to the hand-over', { isTerminating: true }, undefined],
    ['ends a primary without a server', { isTerminating: true, process: 'down' }, { kind: 'exit' }],
    ['breaks the start of a primary off', { process: 'starting', ...during('start') }, { kind: 'abort-job' }],
  ]);
});
