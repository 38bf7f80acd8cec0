import { aStorageNode } from '../../lib/resources/testing.ts';
import { condition, stored } from '../testing.ts';
import { storageNodeName } from './storage.ts';
import { storageRows } from './storage-rows.ts';

describe('a storage node', () => {
  it('shows what it was told to do and what it does', () => {
    const status = {
      storageId: '2.stor.us-east.example.net',
      nodeName: 'node-s01',
      capacity: { percentUsed: 44 },
      conditions: [condition('Ready', 'True', 'Serving'), condition('Writable', 'False', 'ReadOnly')],
    };
    expect(storageRows([stored({ ...aStorageNode({ mode: 'ReadOnly', reason: 'disk is slow' }), status })])).toEqual([
      {
        id: 'stor-2',
        storageId: '2.stor.us-east.example.net',
        zone: 'local',
        node: 'node-s01',
        mode: 'ReadOnly',
        used: 44,
        isWritable: false,
        isReady: true,
        reason: 'ReadOnly',
        modeReason: 'disk is slow',
      },
    ]);
  });

  it('of which nothing is known yet shows what its spec says', () => {
    expect(storageRows([stored(aStorageNode({ nodeName: 'node-s02' }))])[0]).toMatchObject({
      node: 'node-s02',
      used: undefined,
      isWritable: undefined,
      isReady: undefined,
    });
  });

  it.each(['2', 'stor-2', '2.stor.us-east.example.net'])('may be called %s', text => {
    expect(storageNodeName(text)).toBe('stor-2');
  });

  it.each(['', '0', 'stor-02', 'shard-2', '2.moray.x'])('is not called %p', text => {
    expect(() => storageNodeName(text)).toThrow('is no storage node');
  });
});
