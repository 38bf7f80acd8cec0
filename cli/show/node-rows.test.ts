import { aRegion, aStorageNode } from '../../lib/resources/testing.ts';
import { aNode, aPod, stored } from '../testing.ts';
import { filterNodes, nodeRows } from './node-rows.ts';

const region = aRegion().spec;
const nodes = [
  aNode('node-s01', { zone: 'us-east-1a', role: 'storage' }),
  aNode('node-v01', { zone: 'us-east-1b', role: 'service' }),
  aNode('small', {}),
  aNode('idle'),
];
const pods = [
  aPod('stor-2-0', 'storage', { node: 'node-s01', labels: { 'manta.io/storage-node': 'stor-2' } }),
  aPod('stor-3-0', 'storage', { node: 'small', labels: { 'manta.io/storage-node': 'stor-3' } }),
  aPod('pg-1-0', 'postgres', { node: 'small' }),
];
const storageNodes = ['stor-2', 'stor-3', 'stor-4'].map(name =>
  stored(aStorageNode(name === 'stor-4' ? { nodeName: 'node-s01' } : {}), { name }),
);
const rows = nodeRows({ nodes, pods, storageNodes, region });

describe('the nodes of a region', () => {
  it('show their zone, machine, address and memory', () => {
    expect(rows[0]).toEqual({
      dc: 'us-east-1a',
      host: 'node-s01',
      serverUuid: 'uuid-of-node-s01',
      adminIp: '10.0.0.8',
      ramMiB: 8_192,
      kind: 'storage',
      computeId: 'node-s01',
      storageIds: ['2.stor.us-east.example.net', '4.stor.us-east.example.net'],
    });
  });

  it('have a compute id only where objects are', () => {
    expect(rows[1]).toMatchObject({ computeId: undefined, storageIds: [] });
  });

  it('are of the kind of their label, and without one of what runs there', () => {
    expect(rows.map(({ host, kind }) => [host, kind])).toEqual([
      ['node-s01', 'storage'],
      ['node-v01', 'service'],
      ['small', 'storage'],
      ['idle', 'other'],
    ]);
  });

  it.each([
    ['s01', ['node-s01']],
    ['uuid-of-small', ['small']],
    ['3.stor', ['small']],
    ['10.0.0.8', ['node-s01', 'node-v01']],
    ['nowhere', []],
  ])('are found by a part of name, uuid, address or storage id: %s', (part, hosts) => {
    expect(filterNodes(rows, part).map(({ host }) => host)).toEqual(hosts);
  });
});
