import { checkRule } from '../testing/check.ts';
import { hold } from './hold.ts';

describe('§7.2: a peer holds', () => {
  checkRule(hold, [
    ['before etcd has been read', { etcd: { readAt: undefined } }, { kind: 'wait' }],
    [
      'under a state that cannot be read',
      { etcd: { state: undefined, stateInvalid: 'V1' } },
      { kind: 'wait', why: /^StateInvalid/ },
    ],
    ['with data and no state', { state: 'absent' }, { kind: 'wait', why: /^StateMissing/ }],
    ['with another system identifier', { directory: { systemId: '666' } }, { kind: 'wait', why: /^ForeignData/ }],
    [
      'with another system identifier in every role',
      { role: 'deposed', process: 'down', directory: { systemId: '666' } },
      { kind: 'wait', why: /^ForeignData/ },
    ],
    [
      'under a generation below what its volume has seen',
      { local: { highWater: { maxGeneration: 5, maxSeq: 9, lastRole: 'sync', lastTimeline: 3 } } },
      { kind: 'wait', why: /^StateRegressed/ },
    ],
    [
      'under a seq below what its volume has seen',
      { local: { highWater: { maxGeneration: 4, maxSeq: 10, lastRole: 'sync', lastTimeline: 3 } } },
      { kind: 'wait', why: /^StateRegressed/ },
    ],
    ['with binaries of another major version', { state: { pgMajor: 17 } }, { kind: 'wait', why: /^WrongMajor/ }],
    ['and stops on SIGTERM', { state: 'absent', isTerminating: true }, { kind: 'stop', mode: 'fast' }],
    [
      'and ends on SIGTERM once nothing runs',
      { state: 'absent', process: 'down', isTerminating: true },
      { kind: 'exit' },
    ],
  ]);
});

describe('§7.2: a peer does not hold', () => {
  checkRule(hold, [
    [
      'without data and without a state: that is a beginning',
      { state: 'absent', process: 'down', directory: 'none' },
      undefined,
    ],
    ['with the right data', {}, undefined],
    [
      'without data under a state: it is rebuilt, or is a primary that has lost it',
      { process: 'down', directory: 'none' },
      undefined,
    ],
    ['before the shard has a database', { state: { systemId: null, pgMajor: null } }, undefined],
  ]);
});
