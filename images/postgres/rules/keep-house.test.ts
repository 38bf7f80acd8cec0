import { NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { keepHouse } from './keep-house.ts';

const old = { server: { oldIncarnations: ['life-before'] } };

describe('when nothing is urgent', () => {
  checkRule(keepHouse, [
    ['there is nothing to do', {}, undefined],
    [
      'the volume learns of a later state',
      { local: { highWater: { maxGeneration: 4, maxSeq: 8, lastRole: 'sync', lastTimeline: 3 } } },
      { kind: 'save-local' },
    ],
    [
      'an open primary that was promoted takes its first checkpoint (K9)',
      { evidence: { rewindable: false } },
      { kind: 'checkpoint' },
    ],
    [
      'a primary that is still closed does not',
      { evidence: { rewindable: false }, written: { gate: 'closed' } },
      undefined,
    ],
    [
      'one checkpoint is enough',
      { evidence: { rewindable: false }, rest: { job: { kind: 'checkpoint', since: NOW } } },
      undefined,
    ],
    ['old directories go once the new one streams', { role: 'async', ...old }, { kind: 'remove-old-incarnations' }],
    ['old directories stay until then', { role: 'async', ...old, answered: { isStreaming: false } }, undefined],
    ['old directories stay on a primary until it is open', { ...old, written: { gate: 'closed' } }, undefined],
    ['nothing is kept without a state', { state: 'absent', ...old }, undefined],
  ]);
});
