import { parseProgramConfig, programConfigSchema } from './program-config.ts';

const fixed = { host: 'pg', database: 'index' };
const nameservice = { endpoints: ['https://etcd-0:2379', 'https://etcd-1:2379'] };

function check(places: { shards: object[]; control: object }, rest: object = {}): string[] {
  const parsed = programConfigSchema.safeParse({
    webapi: { region: 'test' },
    databases: { ...places, passwordFile: '/password' },
    regionKey: { kid: 'k1', privateKeyFile: '/k1.pem', publicKeyFiles: {} },
    ...rest,
  });
  return parsed.success ? [] : parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`);
}

describe('the configuration of webapi', () => {
  it.each([
    ['databases at fixed places', { shards: [{ shard: 1, ...fixed }], control: fixed }, {}],
    [
      'databases on shards that the nameservice knows',
      { shards: [{ shard: 1, database: 'index' }], control: { shard: 1, database: 'control' } },
      { nameservice: { ...nameservice, username: 'resolver', passwordFile: '/resolver', ca: '/ca.pem' } },
    ],
    ['some of both', { shards: [{ shard: 1, database: 'index' }], control: fixed }, { nameservice }],
  ])('takes %s', (_what, places, rest) => {
    expect(check(places, rest)).toEqual([]);
  });

  it('refuses databases that nobody can find', () => {
    expect(check({ shards: [{ shard: 1, database: 'index' }], control: fixed })).toEqual([
      'nameservice: is needed: a database has no host',
    ]);
    expect(check({ shards: [{ shard: 1, ...fixed }], control: { database: 'control' } }, { nameservice })).toEqual([
      'databases.control: needs a host or a shard',
    ]);
  });

  it('refuses a nameservice that cannot be meant', () => {
    const places = { shards: [{ shard: 1, ...fixed }], control: fixed };
    expect(check(places, { nameservice: { endpoints: [] } })).toHaveLength(1);
    expect(check(places, { nameservice: { endpoints: ['etcd-0:2379'] } })).toHaveLength(1);
    expect(check(places, { nameservice: { ...nameservice, root: '/manta/' } })).toHaveLength(1);
    expect(check(places, { nameservice: { ...nameservice, username: 'resolver' } })).toHaveLength(1);
  });
});

test('the name of the pod is the name of the server, unless the file has another', () => {
  const file = (webapi: object) => ({
    webapi: { region: 'test', ...webapi },
    databases: { shards: [{ shard: 1, ...fixed }], control: fixed, passwordFile: '/password' },
    regionKey: { kid: 'k1', privateKeyFile: '/k1.pem', publicKeyFiles: {} },
  });
  const nameOf = (webapi: object, env: Record<string, string>) =>
    parseProgramConfig(file(webapi), env).webapi.serverName;
  expect(nameOf({}, { POD_NAME: 'webapi-7c9d8' })).toBe('webapi-7c9d8');
  expect(nameOf({ serverName: 'mine' }, { POD_NAME: 'webapi-7c9d8' })).toBe('mine');
  expect(nameOf({}, {})).toBe('webapi');
});
