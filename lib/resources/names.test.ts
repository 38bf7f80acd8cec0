import { shardIdOf, shardNumberOf, shardWorkloadOf, storageIdOf, storageNumberOf } from './names.ts';

const region = { regionName: 'us-east', domainSuffix: 'example.net' };

describe('ids that follow from names', () => {
  it('a storage node has its number in front of the region', () => {
    expect(storageIdOf('stor-2', region)).toBe('2.stor.us-east.example.net');
    expect(storageNumberOf('stor-999999')).toBe(999_999);
  });

  it('a shard has, too, and keeps the name of the original service', () => {
    expect(shardIdOf('shard-3', region)).toBe('3.moray.us-east.example.net');
    expect(shardNumberOf('shard-9999')).toBe(9_999);
    expect(shardWorkloadOf('shard-3')).toBe('pg-3');
  });

  it.each(['stor-0', 'stor-02', 'stor-1000000', 'stor-', 'shard-1', 'stor-1-0'])('%s is no storage node', name => {
    expect(() => storageNumberOf(name)).toThrow(expect.objectContaining({ code: 'InvalidParameter' }));
  });
});
