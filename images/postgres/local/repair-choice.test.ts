import type { PeerRecord } from '../../../lib/shard/records.ts';
import { aPeer, aRecord } from '../../../lib/shard/testing.ts';
import { chooseRepair } from './repair-choice.ts';

function remembers(n: number, maxGeneration: number, lastRole: PeerRecord['local']['lastRole']): PeerRecord {
  const record = aRecord(aPeer(n), 'active', maxGeneration);
  return { ...record, local: { maxGeneration, maxSeq: maxGeneration, lastRole, lastTimeline: 1 } };
}

const all = [0, 1, 2].map(n => aPeer(n).id);

describe('whom state-repair names', () => {
  test('is the primary of the highest generation, with its sync', () => {
    const records = [remembers(0, 3, 'primary'), remembers(1, 4, 'primary'), remembers(2, 4, 'sync')];
    expect(chooseRepair(records, all, false)).toEqual({ peer: all[1], sync: all[2] });
  });

  test('is the sync where no primary of that generation is there, if loss is accepted', () => {
    const records = [remembers(0, 3, 'primary'), remembers(2, 4, 'sync')];
    expect(() => chooseRepair(records, all, false)).toThrow(/pg-1-1 is not registered/);
    expect(chooseRepair(records, all, true)).toEqual({ peer: all[2] });
  });

  test('is nobody where nobody remembers', () => {
    expect(() => chooseRepair([remembers(0, 4, 'async')], [all[0] ?? ''], false)).toThrow(/no peer/);
  });
});
