import { aRegion } from '../../lib/resources/testing.ts';
import { aNode, aPod, NOW_MS } from '../testing.ts';
import { countPods } from './pod-counts.ts';
import { podRows } from './pod-rows.ts';

const region = aRegion().spec;
const shard = (n: number) => ({ 'manta.io/shard': `shard-${n}` });
const pods = [
  aPod('webapi-7c9d8-x2m4q', 'webapi', { node: 'node-a' }),
  aPod('stor-10-0', 'storage', { node: 'node-bb', labels: { 'manta.io/storage-node': 'stor-10' } }),
  aPod('pg-10-0', 'postgres', { labels: shard(10), isReady: false }),
  aPod('stor-2-0', 'storage', { node: 'node-a', labels: { 'manta.io/storage-node': 'stor-2' }, restarts: 3 }),
  aPod('pg-2-1', 'postgres', { labels: shard(2) }),
  aPod('pg-2-0', 'postgres', { labels: shard(2) }),
];
const nodes = [aNode('node-a', { zone: 'us-east-1a' }), aNode('node-bb')];
const rowsOf = (more: Partial<Parameters<typeof podRows>[0]> = {}) =>
  podRows({ pods, nodes, region, nowMs: NOW_MS, ...more });

describe('the pods of a region', () => {
  it('are in the order of program, shard and name, with numbers as numbers', () => {
    expect(rowsOf().map(({ pod }) => pod)).toEqual([
      'pg-2-0',
      'pg-2-1',
      'pg-10-0',
      'stor-2-0',
      'stor-10-0',
      'webapi-7c9d8-x2m4q',
    ]);
  });

  it('have the facts of their node, image and part', () => {
    expect(rowsOf().find(({ pod }) => pod === 'stor-2-0')).toEqual({
      program: 'storage',
      shard: undefined,
      pod: 'stor-2-0',
      node: 'node-a',
      nodeIp: '10.0.0.6',
      zone: 'us-east-1a',
      version: '1.4.2',
      image: 'manta/storage:1.4.2',
      isReady: true,
      restarts: 3,
      age: '60m',
      storageId: '2.stor.us-east.example.net',
    });
  });

  it('show what is known of one that has no place yet', () => {
    expect(rowsOf().find(({ pod }) => pod === 'pg-10-0')).toMatchObject({
      shard: 10,
      node: undefined,
      nodeIp: undefined,
      zone: undefined,
      isReady: false,
    });
  });

  it('have no zone for those who may not read Nodes, nor on a Node without the label', () => {
    expect(rowsOf({ nodes: undefined }).every(({ zone }) => zone === undefined)).toBe(true);
    expect(rowsOf().find(({ pod }) => pod === 'stor-10-0')?.zone).toBeUndefined();
  });

  it.each([
    ['registry.example.net:5000/manta/webapi:1.4.2', '1.4.2'],
    ['registry.example.net:5000/manta/webapi', undefined],
    ['manta/webapi:1.4.2@sha256:0123', '1.4.2'],
    ['manta/webapi@sha256:0123', undefined],
  ])('of image %s are of version %s', (image, version) => {
    expect(rowsOf({ pods: [aPod('w', 'webapi', { image })] })[0]).toMatchObject({ image, version });
  });

  it('are counted by program, shard and version', () => {
    const webapis = [
      aPod('w1', 'webapi', { image: 'manta/webapi:1.4.1' }),
      aPod('w2', 'webapi'),
      aPod('w3', 'webapi', { isReady: false }),
    ];
    expect(countPods(rowsOf({ pods: [...pods.slice(2), ...webapis] }))).toEqual([
      { program: 'postgres', shard: 2, version: '1.4.2', ready: 2, count: 2 },
      { program: 'postgres', shard: 10, version: '1.4.2', ready: 0, count: 1 },
      { program: 'storage', shard: undefined, version: '1.4.2', ready: 1, count: 1 },
      { program: 'webapi', shard: undefined, version: '1.4.1', ready: 1, count: 1 },
      { program: 'webapi', shard: undefined, version: '1.4.2', ready: 1, count: 2 },
    ]);
  });
});
