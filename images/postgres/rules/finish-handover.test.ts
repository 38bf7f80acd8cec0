import { end, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { finishHandover } from './finish-handover.ts';

const stopping = (sinceMs: number) => ({ rest: { job: { kind: 'stop', since: NOW - sinceMs } as const } });
const since = (statusSince: number) => ({
  evidence: { status: 'handed-off', statusSince, statusGeneration: 4 } as const,
});

describe('a hand-over, from W4', () => {
  checkRule(finishHandover, [
    [
      'drains the clients first',
      { status: 'handoff' },
      { kind: 'drain-clients', settings: expect.objectContaining({ gate: 'closed', readOnly: true, ssn: ['pg-1-1'] }) },
    ],
    [
      'then stops in order',
      { status: 'handoff', written: { gate: 'closed', readOnly: true } },
      { kind: 'stop', mode: 'fast' },
    ],
    ['waits for the stop', { status: 'handoff', ...stopping(1_900) }, undefined],
    ['abdicates when the stop takes too long', { status: 'handoff', ...stopping(2_100) }, { kind: 'abdicate' }],
    ['hands off after a clean stop', { status: 'handoff', process: 'down' }, { kind: 'hand-off' }],
    ['abdicates after a stop that was not clean', { status: 'handoff', process: 'crashed' }, { kind: 'abdicate' }],
    [
      'abdicates when the end is not known',
      { status: 'handoff', process: 'down', directory: { end: undefined } },
      { kind: 'abdicate' },
    ],
    [
      'is given up when the shard was frozen before the stop',
      { status: 'handoff', isFrozen: true },
      { kind: 'set-status', status: 'active' },
    ],
    ['then waits for the sync', { process: 'down', ...since(NOW - 2_900) }, { kind: 'wait' }],
    [
      'is taken back when the sync has not acted in three seconds',
      { process: 'down', ...since(NOW - 3_000) },
      { kind: 'set-status', status: 'active' },
    ],
    [
      'is taken back at once when the shard was frozen',
      { process: 'down', ...since(NOW - 100), isFrozen: true },
      { kind: 'set-status', status: 'active' },
    ],
    [
      'is over when the sync has taken over',
      { role: 'async', status: 'handed-off', process: 'down' },
      { kind: 'set-status', status: 'active' },
    ],
    [
      'of an older generation is left over',
      { status: 'handoff', state: { generation: 5 } },
      { kind: 'set-status', status: 'active' },
    ],
    ['is not under way', { directory: { end: end(0) } }, undefined],
  ]);
});
