import { lsn } from '../../../lib/shard/lsn.ts';
import type { Difference } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { repair } from './repair.ts';

const forced: Difference = {
  role: 'async',
  isFrozen: true,
  requests: { 'force-takeover': { id: 'r', generation: 4, by: 'op', peer: 'pg-1-2', acceptDataLoss: true } },
  records: { 'pg-1-0': 'absent', 'pg-1-1': 'absent' },
};
const wanted = { id: 'r', generation: 0, by: 'op', peer: 'pg-1-2', sync: 'pg-1-1' };
const repaired: Difference = { role: 'async', requests: { 'state-repair': wanted } };
const regressed = {
  local: { highWater: { maxGeneration: 6, maxSeq: 12, lastRole: 'sync', lastTimeline: 3 } },
} as const;

describe('a forced takeover', () => {
  checkRule(repair, [
    ['is done by the peer it names', forced, { kind: 'force-takeover' }],
    ['is not done in a shard that is not frozen', { ...forced, isFrozen: false }, undefined],
    ['is void in another generation', { ...forced, state: { generation: 5 } }, undefined],
    [
      'waits for the primary to be gone',
      { ...forced, records: { 'pg-1-1': 'absent' } },
      { kind: 'wait', why: /pg-1-0/ },
    ],
    ['waits for the sync to be gone', { ...forced, records: { 'pg-1-0': 'absent' } }, { kind: 'wait', why: /pg-1-1/ }],
    [
      'does not wait for a primary without its data',
      { ...forced, records: { 'pg-1-0': { health: 'lost-data' }, 'pg-1-1': 'absent' } },
      { kind: 'force-takeover' },
    ],
    [
      'starts a server that is down, receiving from nobody',
      { ...forced, process: 'down' },
      { kind: 'start', settings: expect.objectContaining({ role: 'standby', upstream: undefined, gate: 'closed' }) },
    ],
    ['needs a database', { ...forced, process: 'down', directory: 'none' }, { kind: 'wait', why: /^LostData/ }],
    ['needs a registration', { ...forced, isRegistered: false }, undefined],
    ['is nothing to others', { ...forced, role: 'primary' }, undefined],
  ]);
});

describe('a repair of the state', () => {
  checkRule(repair, [
    ['is done when there is no state', { ...repaired, state: 'absent' }, { kind: 'state-repair' }],
    [
      'is done when the state cannot be read',
      { ...repaired, etcd: { state: undefined, stateInvalid: 'V1' } },
      { kind: 'state-repair' },
    ],
    ['is done when this volume has seen a later state', { ...repaired, ...regressed }, { kind: 'state-repair' }],
    [
      'is done when another has',
      { ...repaired, records: { 'pg-1-0': { local: regressed.local.highWater } } },
      { kind: 'state-repair' },
    ],
    ['is refused when nothing is wrong', repaired, { kind: 'answer', request: 'state-repair' }],
    [
      'brings a former primary up closed, naming the sync',
      { ...repaired, state: 'absent', process: 'crashed', directory: { wasStandby: false } },
      {
        kind: 'start',
        settings: expect.objectContaining({ role: 'primary', gate: 'closed', readOnly: true, ssn: ['pg-1-1'] }),
      },
    ],
    [
      'brings a former primary up that names nobody when it is alone',
      {
        ...repaired,
        requests: { 'state-repair': { id: 'r', generation: 0, by: 'op', peer: 'pg-1-2' } },
        state: 'absent',
        process: 'crashed',
        directory: { wasStandby: false },
      },
      { kind: 'start', settings: expect.objectContaining({ ssn: ['_nobody_'] }) },
    ],
    ['waits while the server starts', { ...repaired, state: 'absent', process: 'starting' }, { kind: 'wait' }],
    [
      'is done by a running primary',
      { ...repaired, state: 'absent', answered: { inRecovery: false, flushed: lsn(1n) } },
      { kind: 'state-repair' },
    ],
    ['is nothing to others', { ...repaired, role: 'primary', state: 'absent' }, undefined],
  ]);
});
