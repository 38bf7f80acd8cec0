import { parseSitterConfig, serverConfigOf } from './config.ts';
import { defaultTimes } from './times.ts';

const least = {
  shard: 1,
  id: 'pg-1-0',
  host: '10.0.0.1',
  dataDir: '/data',
  passwordDir: '/secrets',
  etcd: { endpoints: ['http://etcd:2379'] },
};

test('the least that it takes gives the times of the specification', () => {
  const config = parseSitterConfig(least, {});
  expect(config.times).toEqual(defaultTimes);
  expect(config).toMatchObject({ postgres: { port: 5432 }, sitter: { port: 5433 }, etcd: { root: '/manta' } });
  expect(serverConfigOf(config)).toMatchObject({ id: 'pg-1-0', port: 5432, dataDir: '/data' });
});

test('what differs from pod to pod may come from the environment, and the file goes first', () => {
  const { id: _, host: __, ...common } = least;
  const pod = { POD_NAME: 'pg-1-2', POD_IP: '10.0.0.7', NODE_NAME: 'node-3', PATH: '/bin' };
  expect(parseSitterConfig(common, pod)).toMatchObject({ id: 'pg-1-2', host: '10.0.0.7', node: 'node-3' });
  expect(parseSitterConfig(least, pod)).toMatchObject({ id: 'pg-1-0', host: '10.0.0.1' });
  expect(() => parseSitterConfig(common, {})).toThrow();
});

test.each([
  ['an unknown key', { color: 'blue' }],
  ['an unknown time', { times: { leaseSeconds: 2 } }],
  ['an id without an ordinal', { id: 'postgres' }],
  ['a root with a slash at its end', { etcd: { ...least.etcd, root: '/manta/' } }],
  ['a fence that ends before an idle sync has replied twice', { times: { leaseMs: 1_000 } }],
  ['reads that would be refused after the sync is replaced', { times: { stallReadOnlyMs: 3_000 } }],
  ['probes that take longer than silence', { times: { heartbeatMs: 100 } }],
])('%s is refused', (_, change) => {
  expect(() => parseSitterConfig({ ...least, ...change }, {})).toThrow();
});
