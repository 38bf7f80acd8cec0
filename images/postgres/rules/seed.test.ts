import { anEndpoint, NOW } from '../testing/a-snapshot.ts';
import { checkRule } from '../testing/check.ts';
import { seed } from './seed.ts';

const rebuild = { requests: { rebuild: { id: 'r', generation: 4, by: 'op', peer: 'pg-1-2' } } };
const empty = { process: 'down', directory: 'none' } as const;

describe('a standby without a directory', () => {
  checkRule(seed, [
    ['copies the primary as the sync', { role: 'sync', ...empty }, { kind: 'base-backup', from: anEndpoint(0) }],
    ['copies its upstream as an async', { role: 'async', ...empty }, { kind: 'base-backup', from: anEndpoint(1) }],
    [
      'copies the primary when its upstream is not well',
      { role: 'async', ...empty, records: { 'pg-1-1': { health: 'starting' } } },
      { kind: 'base-backup', from: anEndpoint(0) },
    ],
    [
      'copies the primary when its upstream has failed it',
      {
        role: 'async',
        ...empty,
        rest: { failures: { 'base-backup': { count: 1, lastAt: NOW - 20_000, message: '' } } },
      },
      { kind: 'base-backup', from: anEndpoint(0) },
    ],
    [
      'begins anew after one that did not end',
      { role: 'async', process: 'down', directory: 'unfinished' },
      { kind: 'base-backup' },
    ],
    [
      'waits for a primary that is not well',
      { role: 'sync', ...empty, records: { 'pg-1-0': { health: 'lost-data' } } },
      { kind: 'wait' },
    ],
    ['is not seeded when it is asked to end', { role: 'async', ...empty, isTerminating: true }, undefined],
    ['is not seeded before there is a database', { role: 'async', ...empty, state: { systemId: null } }, undefined],
    [
      'is seeded while frozen: nobody’s role changes',
      { role: 'async', ...empty, isFrozen: true },
      { kind: 'base-backup' },
    ],
    ['is not the primary, which never makes one', { ...empty }, undefined],
    ['is not meant when it has one', { role: 'async', process: 'crashed' }, undefined],
  ]);
});

describe('a rebuild that was asked for', () => {
  checkRule(seed, [
    ['stops the server first', { role: 'async', ...rebuild }, { kind: 'stop', mode: 'fast' }],
    ['then gives the directory up', { role: 'async', process: 'down', ...rebuild }, { kind: 'discard-directory' }],
    ['is done outside the chain too', { role: 'deposed', process: 'down', ...rebuild }, { kind: 'discard-directory' }],
    [
      'waits until a sync is replaced',
      { role: 'sync', requests: { rebuild: { ...rebuild.requests.rebuild, peer: 'pg-1-1' } } },
      undefined,
    ],
    [
      'is never done by the primary',
      { requests: { rebuild: { ...rebuild.requests.rebuild, peer: 'pg-1-0' } } },
      undefined,
    ],
    [
      'of another is nothing to this one',
      { role: 'async', requests: { rebuild: { ...rebuild.requests.rebuild, peer: 'pg-1-1' } } },
      undefined,
    ],
  ]);
});
