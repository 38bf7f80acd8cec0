import { aRef, type Difference, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { keepChain } from './keep-chain.ts';

const write = (next: object) =>
  ({
    kind: 'write-state',
    next: expect.objectContaining({ seq: 10, generation: 4, writer: 'pg-1-0', ...next }),
  }) as const;
const absent = (ms: number) => ({ etcd: { absentSince: { 'pg-1-2': NOW - ms } } });
const deposed = (id: number) => ({ ...aRef(id), sinceGeneration: 3, forkTimeline: 2, forkWal: '0/2800000' });
const out: Difference = { state: { async: [], deposed: [deposed(2)] } };
const ready = { status: 'rejoin-ready', statusGeneration: 4 } as const;

describe('the chain', () => {
  checkRule(keepChain, [
    ['is right', {}, undefined],
    [
      'loses an async that has been away for thirty seconds',
      absent(30_000),
      write({ cause: 'async-removed', async: [] }),
    ],
    ['keeps one that is away for a restart', absent(29_000), undefined],
    ['keeps the sync however long it is away', { etcd: { absentSince: { 'pg-1-1': NOW - 90_000 } } }, undefined],
    [
      'loses an async that is to go for good',
      { peers: 5, config: { peers: 3 } },
      write({ cause: 'async-removed', async: [aRef(2)] }),
    ],
    [
      'loses a deposed peer that is to go for good',
      { state: { deposed: [deposed(3)] } },
      write({ cause: 'deposed-removed', deposed: [] }),
    ],
    [
      'takes a deposed peer back that streams',
      { ...out, records: { 'pg-1-2': ready } },
      write({ cause: 'rejoined', deposed: [], async: [aRef(2)] }),
    ],
    ['does not take one back that does not say so', out, undefined],
    [
      'does not take one back for what it said in an earlier generation',
      { ...out, records: { 'pg-1-2': { ...ready, statusGeneration: 3 } } },
      undefined,
    ],
    [
      'does not take one back with foreign data',
      { ...out, records: { 'pg-1-2': { ...ready, systemId: '666' } } },
      undefined,
    ],
    [
      'gains a peer it did not know',
      { state: { async: [] }, records: { 'pg-1-2': { ...ready, incarnation: 'new' } } },
      write({ cause: 'async-added', async: [aRef(2, { incarnation: 'new' })] }),
    ],
    ['gains none that does not stream yet', { state: { async: [] } }, undefined],
    [
      'gains none beyond the configured',
      { peers: 5, config: { peers: 3 }, state: { async: [aRef(2)] }, records: { 'pg-1-3': ready } },
      undefined,
    ],
    [
      'gains the first of a shard that grows',
      { peers: 1, config: { peers: 3 }, records: { 'pg-1-1': ready } },
      write({ cause: 'async-added', async: [aRef(1)] }),
    ],
    [
      'knows where everybody is',
      { records: { 'pg-1-1': { pgUrl: 'postgresql://h:1' } } },
      write({ cause: 'address', sync: aRef(1, { pgUrl: 'postgresql://h:1' }) }),
    ],
    [
      'knows the lives of asyncs',
      { records: { 'pg-1-2': { incarnation: 'new' } } },
      write({ cause: 'address', async: [aRef(2, { incarnation: 'new' })] }),
    ],
    ['never renews the life of the sync (H4)', { records: { 'pg-1-1': { incarnation: 'new' } } }, undefined],
    [
      'never renews the life of the sync while closed either',
      { records: { 'pg-1-1': { incarnation: 'new' } }, written: { gate: 'closed' } },
      undefined,
    ],
    ['never renews its own', { records: { 'pg-1-0': { incarnation: 'new' } } }, undefined],
    [
      'records the first life of the first sync, before anybody is let in',
      { state: { sync: aRef(1, { incarnation: null }) }, written: { gate: 'closed' } },
      write({ cause: 'address', sync: aRef(1) }),
    ],
    ['does not record it once somebody was let in', { state: { sync: aRef(1, { incarnation: null }) } }, undefined],
    ['is kept while frozen', { ...absent(30_000), isFrozen: true }, write({ async: [] })],
    ['is kept while closed', { ...absent(30_000), written: { gate: 'closed' } }, write({ async: [] })],
    ['is let alone while the role is given away', { ...absent(30_000), status: 'handed-off' }, undefined],
    ['is let alone without a registration', { ...absent(30_000), isRegistered: false }, undefined],
    ['is let alone before there is a database', { ...absent(30_000), state: { systemId: null } }, undefined],
    ['is let alone while the server is down', { ...absent(30_000), process: 'down' }, undefined],
  ]);
  checkRule(keepChain, [['is the primary’s business alone', { role: 'sync', ...absent(30_000) }, undefined]]);
});
