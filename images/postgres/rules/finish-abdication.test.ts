import { aRef, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { finishAbdication } from './finish-abdication.ts';

const offered = { status: 'abdicating', process: 'down' } as const;
const at = (statusSince: number) => ({ evidence: { status: 'abdicating', statusSince, statusGeneration: 4 } as const });

describe('an abdication', () => {
  checkRule(finishAbdication, [
    ['waits for the sync', { ...offered, ...at(NOW - 2_900) }, { kind: 'wait' }],
    [
      'is taken back when nobody accepts within three seconds',
      { ...offered, ...at(NOW - 3_000) },
      { kind: 'set-status', status: 'active' },
    ],
    [
      'is taken back at once when the shard was frozen',
      { ...offered, ...at(NOW - 100), isFrozen: true },
      { kind: 'set-status', status: 'active' },
    ],
    [
      'is over when the sync has taken over',
      { role: 'deposed', ...offered, ...at(NOW - 100) },
      { kind: 'set-status', status: 'active' },
    ],
    [
      'of an older generation is left over',
      { ...offered, ...at(NOW - 100), state: { generation: 5, sync: aRef(1) } },
      { kind: 'set-status', status: 'active' },
    ],
    ['is not touched without a state', { ...offered, state: 'absent' }, undefined],
    ['is not under way', {}, undefined],
  ]);
});
