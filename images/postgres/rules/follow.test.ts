import { anEndpoint } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { follow } from './follow.ts';

const to = (fields: object) => ({ kind: 'configure', settings: expect.objectContaining(fields) }) as const;

describe('a standby', () => {
  checkRule(follow, [
    ['that follows the right one is let alone', { role: 'async' }, undefined],
    [
      'follows the peer above it',
      { role: 'async', written: { upstream: anEndpoint(0) } },
      to({ upstream: anEndpoint(1) }),
    ],
    [
      'follows the primary only as the sync',
      { role: 'sync', written: { upstream: anEndpoint(2) } },
      to({ upstream: anEndpoint(0), ssn: ['pg-1-2'] }),
    ],
    [
      'names its successor’s standby as the sync',
      { role: 'sync', written: { ssn: ['_nobody_'] } },
      to({ ssn: ['pg-1-2'] }),
    ],
    ['names nobody as an async', { role: 'async', written: { ssn: ['pg-1-1'] } }, to({ ssn: ['_nobody_'] })],
    [
      'names nobody as a sync without a standby',
      { role: 'sync', state: { async: [] }, written: { ssn: ['pg-1-2'] } },
      to({ ssn: ['_nobody_'] }),
    ],
    [
      'follows an upstream that has moved',
      {
        role: 'async',
        records: { 'pg-1-1': { pgUrl: 'postgresql://10.9.9.9:5432' } },
        written: { upstream: anEndpoint(1) },
      },
      to({ upstream: { id: 'pg-1-1', host: '10.9.9.9', port: 5432 } }),
    ],
    [
      'uses the state’s address where there is no record',
      { role: 'async', records: { 'pg-1-1': 'absent' } },
      undefined,
    ],
    ['serves dumps as the last async', { role: 'async', written: { dumps: false } }, to({ dumps: true })],
    ['never opens', { role: 'sync', written: { gate: 'open' } }, to({ gate: 'closed', readOnly: true })],
    [
      'takes over new parameters',
      { role: 'async', config: { parameters: { work_mem: '8MB' } }, written: { parameters: {} } },
      to({ parameters: { work_mem: '8MB' } }),
    ],
    ['waits for its server', { role: 'async', process: 'starting' }, undefined],
  ]);
  checkRule(follow, [
    ['is not the primary', {}, undefined],
    ['is not outside the chain', { role: 'none' }, undefined],
  ]);
});
