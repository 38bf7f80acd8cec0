import { aRegion, aShard, aStorageNode } from '../../lib/resources/testing.ts';
import type { Condition } from '../../lib/resources/types.ts';
import { aPod, condition, stored } from '../testing.ts';
import { promiseRows, type RegionSeen } from './promises.ts';
import { operatorConcerns } from './status.ts';

const ready = condition('Ready', 'True', 'ReadWrite');
const tolerant = condition('FaultTolerant', 'True', 'SyncAndAsync');
const shard = (
  name: string,
  databases: RegionSeen['shards'][number]['spec']['databases'],
  ...conditions: Condition[]
) => stored({ ...aShard({ databases }), status: { conditions } }, { name });
const node = (name: string, ...conditions: Condition[]) =>
  stored({ ...aStorageNode(), status: { conditions } }, { name });
const serving = (name: string) => node(name, ready, condition('Writable', 'True', 'Accepting'));
const readOnly = (name: string) => node(name, ready, condition('Writable', 'False', 'ReadOnly'));
const away = (name: string) => node(name, condition('Ready', 'False', 'PodNotReady'));

function seen(more: Partial<RegionSeen> = {}): RegionSeen {
  return {
    region: region(41),
    shards: [
      shard('shard-1', ['control', 'jobs', 'ops'], ready, tolerant),
      shard('shard-2', ['index'], ready, tolerant),
    ],
    storageNodes: [serving('stor-1'), serving('stor-2'), serving('stor-3')],
    pods: [aPod('lb', 'loadbalancer'), aPod('w', 'webapi')],
    ...more,
  };
}

function region(maxNodePercent: number, ...conditions: Condition[]) {
  const programs = ['webapi', 'loadbalancer'].map(name => ({ name, desired: 1, ready: 1 }));
  const storage = { percentUsed: Math.min(maxNodePercent, 89), maxNodePercent };
  return stored({ ...aRegion(), status: { programs, storage, conditions } });
}

function judged(more: Partial<RegionSeen>): string {
  return promiseRows(seen(more))
    .filter(({ state }) => state !== 'ok')
    .map(({ promise, state }) => `${promise} ${state}`)
    .join(', ');
}

describe('the promises of a region', () => {
  it.each<[string, Partial<RegionSeen>, string]>([
    ['are kept where everything is as it should be', {}, ''],
    [
      'are all broken but those of databases without a loadbalancer',
      { pods: [aPod('w', 'webapi')] },
      'read broken, write broken, list broken, auth broken',
    ],
    [
      'are weak where half of the pods of webapi are gone',
      {
        pods: [aPod('lb', 'loadbalancer'), aPod('w', 'webapi'), aPod('w2', 'webapi', { isReady: false })],
        region: stored({ ...aRegion(), status: { programs: [{ name: 'webapi', desired: 2, ready: 1 }] } }),
      },
      'read weak, write weak, list weak, auth weak',
    ],
    [
      'that need an index shard are broken while it takes no writes',
      {
        shards: [
          shard('shard-1', ['control'], ready, tolerant),
          shard('shard-2', ['index'], condition('Ready', 'False', 'NoPrimary'), tolerant),
        ],
      },
      'read broken, write broken, list broken, metadata broken',
    ],
    [
      'that need the control database are weak while it has no sync',
      {
        shards: [
          shard('shard-1', ['control'], ready, condition('FaultTolerant', 'False', 'NoSync')),
          shard('shard-2', ['index'], ready, tolerant),
        ],
      },
      'auth weak, metadata weak',
    ],
    [
      'of reading is weak with one storage node away',
      { storageNodes: [serving('stor-1'), serving('stor-2'), serving('stor-3'), away('stor-4')] },
      'read weak',
    ],
    [
      'of reading is broken with as many away as there are copies',
      { storageNodes: [serving('a'), serving('b'), serving('c'), away('d'), away('e')] },
      'read broken',
    ],
    [
      'of writing is weak when no further node may fall out',
      { storageNodes: [serving('a'), serving('b'), readOnly('c')] },
      'write weak',
    ],
    [
      'of writing is broken when there are fewer nodes than copies',
      { storageNodes: [serving('a'), readOnly('b')] },
      'write broken',
    ],
    ['of capacity is weak with one almost full node', { region: region(86) }, 'capacity weak'],
    [
      'of reading is what is seen from outside',
      { region: region(1, condition('ReadsAvailable', 'False', 'CheckFailed', 'GET: 503')) },
      'read broken',
    ],
    [
      'of reading is not in doubt because nobody checks it',
      { region: region(1, condition('ReadsAvailable', 'Unknown', 'NoCheck')) },
      '',
    ],
  ])('%s', (_, more, expected) => {
    expect(judged(more)).toBe(expected);
  });

  it('name the next command with everything that is wrong', () => {
    const rows = promiseRows(seen({ pods: [], shards: [], storageNodes: [] }));
    for (const { state, detail } of rows) if (state === 'broken') expect(detail).toMatch(/: kubectl /);
  });
});

describe('without an operator', () => {
  it('conditions are not to be believed', () => {
    expect(operatorConcerns([aPod('op', 'operator')])).toEqual([]);
    expect(operatorConcerns([aPod('op', 'operator', { isReady: false })])).toMatchObject([{ alert: 'OperatorDown' }]);
    expect(operatorConcerns([])).toMatchObject([{ severity: 'error' }]);
  });
});
