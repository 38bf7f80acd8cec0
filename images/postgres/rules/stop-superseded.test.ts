import { aRef, aState, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { stopSuperseded } from './stop-superseded.ts';

const superseded = {
  ...aState(),
  generation: 5,
  primary: aRef(1),
  sync: aRef(2),
  async: [],
  deposed: [{ ...aRef(0), sinceGeneration: 5, forkTimeline: 3, forkWal: '0/4000000' }],
};

describe('a server that runs as primary', () => {
  checkRule(stopSuperseded, [
    ['goes on while the state names this peer', {}, undefined],
    [
      'is stopped at once when the state names another',
      { state: superseded },
      { kind: 'stop', mode: 'immediate', why: /pg-1-1/ },
    ],
    ['is stopped while frozen too', { state: superseded, isFrozen: true }, { kind: 'stop' }],
    ['is stopped without a registration', { state: superseded, isRegistered: false }, { kind: 'stop' }],
    [
      'is not waited for while it starts',
      {
        state: superseded,
        process: 'starting',
        written: { role: 'primary' },
        rest: { job: { kind: 'start', since: NOW } },
      },
      { kind: 'abort-job' },
    ],
    [
      'does not go on for a checkpoint',
      { state: superseded, rest: { job: { kind: 'checkpoint', since: NOW } } },
      { kind: 'abort-job' },
    ],
    [
      'is left to a stop that is under way',
      { state: superseded, rest: { job: { kind: 'stop', since: NOW } } },
      undefined,
    ],
    ['is nothing to do once it has ended', { state: superseded, process: 'down' }, undefined],
    ['is let alone while there is no state', { state: 'absent' }, undefined],
  ]);
  checkRule(stopSuperseded, [['does not mean a standby', { role: 'sync' }, undefined]]);
});
