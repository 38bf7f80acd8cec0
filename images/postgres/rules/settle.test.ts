import { NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { settle } from './settle.ts';

const failed = { failures: { settle: { count: 1, lastAt: NOW - 10, message: 'etcd is away' } } };

describe('a transaction whose answer was lost', () => {
  checkRule(settle, [
    ['is settled before anything else is decided', { etcd: { unsettled: true } }, { kind: 'settle' }],
    ['is nothing to do when there is none', {}, undefined],
    ['is tried again as long as etcd is away', { etcd: { unsettled: true }, rest: failed }, { kind: 'settle' }],
    ['is settled before a process ends', { etcd: { unsettled: true }, isTerminating: true }, { kind: 'settle' }],
    [
      'does not keep a process from ending while etcd is away',
      { etcd: { unsettled: true }, isTerminating: true, rest: { ...failed, terminatingSince: NOW - 100 } },
      undefined,
    ],
  ]);
});
