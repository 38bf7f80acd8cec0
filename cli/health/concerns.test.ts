import { aRegion, aShard, aStorageNode } from '../../lib/resources/testing.ts';
import type { Condition } from '../../lib/resources/types.ts';
import { CREATED, condition, stored } from '../testing.ts';
import { regionConcerns, shardConcerns, storageConcerns } from './concerns.ts';

const status = (...conditions: Condition[]) => ({ observedGeneration: 1, conditions });
const alerts = (found: ReturnType<typeof shardConcerns>) => found.map(({ severity, alert }) => `${severity} ${alert}`);
const shard = (...conditions: Condition[]) => stored({ ...aShard(), status: status(...conditions) });
const node = (...conditions: Condition[]) => stored({ ...aStorageNode(), status: status(...conditions) });
const region = (...conditions: Condition[]) => stored({ ...aRegion(), status: status(...conditions) });
const good = condition('Ready', 'True', 'ReadWrite');

describe('what is not as it should be', () => {
  it('has severity, time, object and the sentence of the condition', () => {
    const message = 'pg-2-0 is primary and does not answer: kubectl describe pod pg-2-0';
    expect(shardConcerns(shard(condition('Ready', 'False', 'NoPrimary', message)))).toEqual([
      { severity: 'error', since: CREATED, alert: 'NoPrimary', affects: 'mshard/shard-2', summary: message },
    ]);
  });

  it.each([
    ['a shard that serves', [good], []],
    ['a shard that has lost a peer', [good, condition('Degraded', 'True', 'PeerDown')], ['warning PeerDown']],
    ['a shard without a sync', [good, condition('FaultTolerant', 'False', 'NoSync')], ['warning NoSync']],
    ['a shard that is one peer by its spec', [good, condition('FaultTolerant', 'False', 'SinglePeer')], []],
    ['a frozen shard', [good, condition('Frozen', 'True', 'ByOperator')], ['warning ByOperator']],
    ['a shard whose backup is old', [good, condition('BackupFresh', 'False', 'Stale')], ['warning Stale']],
    ['a shard that nobody backs up', [good, condition('BackupFresh', 'False', 'Disabled')], []],
    ['a rollout under way', [good, condition('Progressing', 'True', 'RollingOut')], []],
    ['a rollout that halted', [good, condition('Progressing', 'False', 'RolloutHalted')], ['warning RolloutHalted']],
  ])('of %s', (_, conditions, expected) => {
    expect(alerts(shardConcerns(shard(...conditions)))).toEqual(expected);
  });

  it.each([
    ['one that was set read-only', [condition('Writable', 'False', 'ReadOnly')], []],
    ['one that is full', [condition('Writable', 'False', 'Full')], ['warning Full']],
    [
      'one that is away, once',
      [condition('Ready', 'False', 'PodNotReady'), condition('Writable', 'False', 'Offline')],
      ['warning PodNotReady'],
    ],
  ])('of a storage node: %s', (_, conditions, expected) => {
    expect(alerts(storageConcerns(node(...conditions)))).toEqual(expected);
  });

  it('of a region counts a check from outside only when it failed', () => {
    const ready = condition('Ready', 'True', 'AllReady');
    expect(alerts(regionConcerns(region(ready, condition('ReadsAvailable', 'Unknown', 'NoCheck'))))).toEqual([]);
    expect(alerts(regionConcerns(region(ready, condition('ReadsAvailable', 'False', 'CheckFailed'))))).toEqual([
      'error CheckFailed',
    ]);
  });

  it('is that nobody has looked at an object, or at its newest spec', () => {
    expect(alerts(shardConcerns(stored(aShard())))).toEqual(['error NotObserved']);
    const stale = { ...aShard(), status: status(good) };
    expect(alerts(shardConcerns(stored(stale, { generation: 2 })))).toEqual(['warning SpecNotObserved']);
  });
});
