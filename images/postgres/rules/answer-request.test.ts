import { type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { answerRequest } from './answer-request.ts';

const base = { id: 'r', generation: 4, by: 'op' };
const refused = (request: string, message: RegExp) =>
  ({
    kind: 'answer',
    request,
    answer: { id: 'r', outcome: 'Refused', message: expect.stringMatching(message) },
  }) as const;
const switchover = (more: object = {}): Difference => ({ requests: { switchover: { ...base, ...more } } });
const rebuild = (peer: string, more: object = {}): Difference => ({
  requests: { rebuild: { ...base, peer, ...more } },
});
const force: Difference = { requests: { 'force-takeover': { ...base, peer: 'pg-1-2', acceptDataLoss: true } } };

describe('a request', () => {
  checkRule(answerRequest, [
    ['that can be met is not refused', switchover(), undefined],
    ['of another generation is refused', switchover({ generation: 3 }), refused('switchover', /another generation/)],
    ['to switch to an async is refused', switchover({ peer: 'pg-1-2' }), refused('switchover', /not the sync/)],
    [
      'to switch over a frozen shard is refused',
      { ...switchover(), isFrozen: true },
      refused('switchover', /^ClusterFrozen/),
    ],
    [
      'to switch to a sync that lags is refused',
      { ...switchover({ maxLagBytes: 0 }), sender: { replayed: undefined, flushed: undefined } },
      refused('switchover', /^NotCaughtUp/),
    ],
    [
      'to switch where there is no sync is refused',
      { ...switchover(), peers: 1 },
      refused('switchover', /^NoCandidate/),
    ],
    ['to rebuild the primary is refused', rebuild('pg-1-0'), refused('rebuild', /switch over first/)],
    ['to rebuild nobody is refused', rebuild('pg-1-7'), refused('rebuild', /no such peer/)],
    [
      'to rebuild the sync in another generation is refused',
      rebuild('pg-1-1', { generation: 3 }),
      refused('rebuild', /another generation/),
    ],
    ['to rebuild an async is its own business', rebuild('pg-1-2'), undefined],
    ['to rebuild what was the sync is its own business too', rebuild('pg-1-2', { generation: 3 }), undefined],
    ['to force a shard that is not frozen is refused', force, refused('force-takeover', /frozen/)],
    ['to force a frozen shard is not the primary’s to refuse', { ...force, isFrozen: true }, undefined],
    [
      'that can perhaps be met in a moment is not refused yet',
      { ...switchover(), sender: 'absent', evidence: { requestedAt: NOW - 2_000 } },
      undefined,
    ],
    ['cannot be answered without a registration', { ...switchover({ generation: 3 }), isRegistered: false }, undefined],
  ]);
  checkRule(answerRequest, [
    ['is answered by the primary alone', { role: 'sync', ...switchover({ generation: 3 }) }, undefined],
  ]);
});
