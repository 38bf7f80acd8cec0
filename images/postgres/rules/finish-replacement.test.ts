import { aRef, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { finishReplacement } from './finish-replacement.ts';

const joint = { ssn: ['pg-1-2', 'pg-1-1'] };
const declare = { kind: 'declare-sync', candidate: 'pg-1-2' } as const;
const back = {
  kind: 'configure',
  settings: expect.objectContaining({ ssn: ['pg-1-1'], role: 'primary', gate: 'open' }),
} as const;
const hung = { failures: { 'declare-sync': { count: 3, lastAt: NOW - 100, message: 'ConfigDrift' } } };

describe('a replacement of the sync', () => {
  checkRule(finishReplacement, [
    ['is not under way while the names are the state’s', {}, undefined],
    ['is declared once both must confirm', { written: joint, sync: 'gone' }, declare],
    ['is declared even if the old sync is back', { written: joint }, declare],
    [
      'is taken back when the candidate is not healthy any more',
      { written: joint, records: { 'pg-1-2': { health: 'starting' } } },
      back,
    ],
    [
      'waits for nobody while the server does not answer',
      { written: joint, sync: 'gone', server: { unansweredSince: NOW - 1_000 } },
      undefined,
    ],
    ['is taken back when the candidate is gone', { written: joint, records: { 'pg-1-2': 'absent' } }, back],
    ['is taken back when the shard was frozen meanwhile', { written: joint, isFrozen: true }, back],
    ['is taken back when this peer is not registered any more', { written: joint, isRegistered: false }, back],
    [
      'ends with the new sync alone, once the state names it',
      { written: { ssn: ['pg-1-1', 'pg-1-2'] } },
      { kind: 'configure', settings: expect.objectContaining({ ssn: ['pg-1-1'] }) },
    ],
    [
      'gives a shard of one its first sync',
      { peers: 1, config: { peers: 3 }, state: { async: [aRef(2)] }, written: { ssn: ['pg-1-2'] } },
      declare,
    ],
    ['gives way to an abdication when a sender hangs and the sync is able', { written: joint, rest: hung }, undefined],
    [
      'goes on when a sender hangs and the sync is not able',
      { written: joint, rest: hung, answers: { 'pg-1-1': 'absent' } },
      declare,
    ],
    ['waits for the server', { process: 'starting', written: joint }, undefined],
  ]);
  checkRule(finishReplacement, [
    ['is none of a sync’s business, which names its successor’s standby', { role: 'sync' }, undefined],
  ]);
});
