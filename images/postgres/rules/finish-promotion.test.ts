import { lsn } from '../../../lib/shard/lsn.ts';
import { aRef, aSnapshot, aState, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { finishPromotion } from './finish-promotion.ts';

/** After K4: the state names me, my server is still the standby it was. */
const taken = {
  ...aState(),
  timeline: 4,
  deposed: [{ ...aRef(3), sinceGeneration: 4, forkTimeline: 3, forkWal: '0/5000000' }],
};
const standby = {
  inRecovery: true,
  timeline: 3,
  flushed: undefined,
  received: lsn(0x500_0000n),
  replayed: lsn(0x500_0000n),
};
const promotable: Difference = {
  state: taken,
  answered: standby,
  written: { role: 'standby', gate: 'closed', readOnly: true },
};
const tired = { failures: { promote: { count: 40, lastAt: NOW - 500, message: 'slow' } } };

describe('K5 to K7', () => {
  checkRule(finishPromotion, [
    ['go on when the state names this peer and its server is in recovery', promotable, { kind: 'promote' }],
    [
      'name the new sync, and nobody to receive from, with the gate closed',
      promotable,
      {
        kind: 'promote',
        settings: expect.objectContaining({
          role: 'standby',
          ssn: ['pg-1-1'],
          readOnly: true,
          gate: 'closed',
          upstream: undefined,
        }),
      },
    ],
    [
      'end with the settings of a primary',
      { ...promotable, answered: { ...standby, inRecovery: false, timeline: 4, flushed: lsn(0x500_0100n) } },
      { kind: 'promote' },
    ],
    ['go on while frozen: the generation has changed already', { ...promotable, isFrozen: true }, { kind: 'promote' }],
    [
      'are resumed from the beginning after a crash',
      { state: taken, process: 'crashed', directory: { wasStandby: true } },
      { kind: 'start', settings: expect.objectContaining({ role: 'standby', upstream: undefined, ssn: ['pg-1-1'] }) },
    ],
    [
      'give a repaired primary the timeline reserved for it',
      { state: taken, process: 'down', directory: { timeline: 3 } },
      { kind: 'start', settings: expect.objectContaining({ role: 'standby' }) },
    ],
    [
      'are not begun by a process that is asked to end',
      { state: taken, process: 'down', directory: { wasStandby: true }, isTerminating: true },
      undefined,
    ],
    ['are not for a primary that was one before', { process: 'down' }, undefined],
    ['are over on an open primary', {}, undefined],
    ['are not for crash recovery', { answered: { inRecovery: true }, written: { role: 'primary' } }, undefined],
    ['are not for a volume that was replaced', { ...promotable, directory: { incarnation: 'another' } }, undefined],
    ['are given up after a minute when the new sync can take over', { ...promotable, rest: tired }, undefined],
    ['are never given up alone', { ...promotable, rest: tired, answers: { 'pg-1-1': 'absent' } }, { kind: 'promote' }],
    [
      'leave a wrong timeline to those who can abdicate',
      { ...promotable, answered: { ...standby, inRecovery: false, timeline: 7 } },
      undefined,
    ],
  ]);
  checkRule(finishPromotion, [['are not for a sync', { role: 'sync' }, undefined]]);

  it('do not read the answer of a server that is down', () => {
    expect(finishPromotion.decide(aSnapshot({ ...promotable, process: 'starting' }))).toBeUndefined();
  });
});
