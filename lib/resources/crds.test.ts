import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { postgresqlConf } from '../../images/postgres/pg/settings.ts';
import { aRegion, aShard, aStorageNode, threeZones } from './testing.ts';
import { type ResourceServer, send, startResourceServer } from './testing-server.ts';

let resources: ResourceServer;

beforeAll(async () => {
  resources = await startResourceServer();
}, 1_800_000);

afterAll(() => resources?.stop());

type Tree = { readonly [name: string]: unknown };

/** `base` with what `patch` names replaced; undefined takes a field away. */
function merged(base: Tree, patch: Tree): Tree {
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    const isTree = typeof value === 'object' && value !== null && !Array.isArray(value);
    result[name] = isTree ? merged((result[name] ?? {}) as Tree, value as Tree) : value;
  }
  return result;
}

const dev = (spec: Tree = {}) => merged(aRegion() as unknown as Tree, { spec });
const lab = (spec: Tree = {}) => dev(merged({ profile: 'lab', zones: threeZones }, spec));
const production = (spec: Tree = {}) =>
  lab(
    merged(
      {
        profile: 'production',
        storageTemplate: { volume: undefined },
        frontDoor: { tls: { secretName: 'front-door' } },
      },
      spec,
    ),
  );
const shard = (spec: Tree = {}) => merged(aShard() as unknown as Tree, { spec });
const node = (spec: Tree = {}) => merged(aStorageNode() as unknown as Tree, { spec });

const create = (manifest: Tree) => send(resources.admin, 'POST', manifest, { dryRun: true });

describe('what the API server accepts', () => {
  it.each<[string, () => Tree]>([
    ['a region in one zone', () => dev()],
    ['a region in three zones', () => lab()],
    ['a production region whose storage nodes are made by hand', () => production()],
    [
      'a production region that says how many there are to be',
      () => production({ storageTemplate: { perZone: 4, volume: { size: '1Ti' } } }),
    ],
    [
      'a region whose shards and storage nodes are made by hand',
      () =>
        dev({ shardTemplate: { count: 0, storage: undefined }, storageTemplate: { perZone: 0, volume: undefined } }),
    ],
    ['amounts as numbers', () => dev({ services: { webapi: { resources: { requests: { cpu: 2 } } } } })],
    [
      'a parameter of PostgreSQL',
      () => shard({ postgres: { parameters: { work_mem: '64MB', 'auto_explain.log_min_duration': '1s' } } }),
    ],
    ['a shard of seven peers', () => shard({ peers: 7 })],
    ['a shard of one peer', () => shard({ peers: 1 })],
    [
      'a shard that is restored to a moment',
      () => shard({ restore: { source: '3.moray.us-east.example.net', time: '2031-05-01T10:00:00.5+02:00' } }),
    ],
    ['a frozen shard', () => shard({ freeze: { reason: 'power works' } })],
    ['a storage node on a claim that exists', () => node({ volume: { size: undefined, claimName: 'stor-7' } })],
    ['a read-only storage node with a reason', () => node({ mode: 'ReadOnly', reason: 'disk is dying' })],
  ])('%s', async (_, manifest) => {
    expect(await create(manifest())).toMatchObject({ status: 201, message: '' });
  });

  it.each(['dev', 'lab', 'production', 'shard'])('the sample %s', async name => {
    const text = readFileSync(join(import.meta.dirname, `../../charts/manta/samples/${name}.yaml`), 'utf8');
    for (const document of parseAllDocuments(text))
      expect(await create(document.toJS())).toMatchObject({ status: 201, message: '' });
  });

  it('the region in the notes of the chart', async () => {
    const notes = readFileSync(join(import.meta.dirname, '../../charts/manta/templates/NOTES.txt'), 'utf8');
    const [, text = ''] = /<<END\n(.*?)\nEND\n/s.exec(notes) ?? [];
    expect(await create(parseAllDocuments(text)[0]?.toJS())).toMatchObject({ status: 201, message: '' });
  });
});

describe('what the API server fills in', () => {
  it('a short region comes back as the builder of the tests has it', async () => {
    const { spec, ...rest } = aRegion();
    const { profile, regionName, domainSuffix, zones, shardTemplate, storageTemplate } = spec;
    const { storage } = shardTemplate;
    const { hostnames } = spec.frontDoor;
    const short = { profile, regionName, domainSuffix, zones, storageTemplate, shardTemplate: { storage } };
    const { object } = await create({ ...rest, spec: { ...short, frontDoor: { hostnames } } });
    expect(object.spec).toEqual(spec);
  });

  it('so do a short shard and a short storage node', async () => {
    const { databases, storage } = aShard().spec;
    expect((await create({ ...aShard(), spec: { databases, storage } })).object.spec).toEqual(aShard().spec);
    const { zone, volume } = aStorageNode().spec;
    expect((await create({ ...aStorageNode(), spec: { zone, volume } })).object.spec).toEqual(aStorageNode().spec);
  });
});

describe('what the API server refuses', () => {
  it.each<[string, () => Tree, RegExp]>([
    ['no zone', () => dev({ zones: [] }), /spec\.zones.*at least 1/],
    [
      'two zones, and says why',
      () => dev({ zones: ['a', 'b'] }),
      /got 2: an even number.*synchronous replication.*use 1 or 3/,
    ],
    [
      'four zones, and says how many to take',
      () => dev({ zones: ['a', 'b', 'c', 'd'] }),
      /got 4: an even number.*use 3/,
    ],
    ['five zones', () => dev({ zones: ['a', 'b', 'c', 'd', 'e'] }), /got more than 4; use 3/],
    ['a zone twice', () => dev({ zones: ['a', 'a', 'b'] }), /Duplicate value/],
    ['an unknown profile, and lists those there are', () => dev({ profile: 'staging' }), /"dev", "lab", "production"/],
    ['two members of nameservice', () => dev({ nameservice: { members: 2 } }), /Unsupported value: 2/],
    ['five members of nameservice', () => dev({ nameservice: { members: 5 } }), /Unsupported value: 5/],
    ['production with one member', () => production({ nameservice: { members: 1 } }), /production needs 3 members/],
    [
      'production without a certificate',
      () => production({ frontDoor: { tls: { secretName: undefined } } }),
      /production needs a certificate/,
    ],
    ['production with one webapi', () => production({ services: { webapi: { replicas: 1 } } }), /at least 2 replicas/],
    [
      'production with one loadbalancer',
      () => production({ services: { loadbalancer: { replicas: 1 } } }),
      /at least 2 replicas/,
    ],
    [
      'production with a volume and no number of storage nodes',
      () => production({ storageTemplate: { volume: { size: '1Ti' } } }),
      /no default number of storage nodes/,
    ],
    [
      'production with a number and no volume',
      () => production({ storageTemplate: { perZone: 2 } }),
      /perZone needs storageTemplate\.volume/,
    ],
    ['shards without volumes', () => dev({ shardTemplate: { storage: undefined } }), /the shards need volumes/],
    [
      'storage nodes without volumes',
      () => dev({ storageTemplate: { volume: undefined } }),
      /the storage nodes need volumes/,
    ],
    [
      'more copies by default than at most',
      () => dev({ storage: { defaultCopies: 7 } }),
      /defaultCopies must not exceed maxCopies/,
    ],
    [
      'less for operators than for users',
      () => dev({ storage: { operatorUtilizationPercent: 80 } }),
      /must not be below/,
    ],
    ['no host name', () => dev({ frontDoor: { hostnames: [] } }), /hostnames.*at least 1/],
    ['a network that is none', () => dev({ frontDoor: { trustedProxies: ['10.0.0.0'] } }), /trustedProxies/],
    ['an unknown field', () => dev({ profiel: 'dev' }), /unknown field "spec\.profiel"/],
    [
      'an unknown field deep inside',
      () => dev({ frontDoor: { throttle: { enable: true } } }),
      /unknown field "spec\.frontDoor\.throttle\.enable"/,
    ],
    ['an unknown program', () => dev({ services: { muskie: {} } }), /unknown field "spec\.services\.muskie"/],
    ['a size that is none', () => dev({ storageTemplate: { volume: { size: '20 GB' } } }), /size/],

    ['a shard of two peers', () => shard({ peers: 2 }), /Unsupported value: 2/],
    ['a shard of four peers', () => shard({ peers: 4 }), /Unsupported value: 4/],
    ['a shard without databases', () => shard({ databases: [] }), /databases.*at least 1/],
    ['a shard with an unknown database', () => shard({ databases: ['moray'] }), /"index", "control", "jobs", "ops"/],
    [
      'a shard that shares vnodes without index',
      () => shard({ databases: ['jobs'], vnodes: 'Share' }),
      /only a shard that hosts index/,
    ],
    ['a freeze without a reason', () => shard({ freeze: { reason: '' } }), /reason/],
    [
      'a shard by another name',
      () => ({ ...shard(), metadata: { name: 'shard-0', namespace: 'manta' } }),
      /shard-<n>, n from 1 to 9999/,
    ],
    ['a backup of something else', () => shard({ restore: { source: '3.stor.us-east.example.net' } }), /source/],
    [
      'fsync off',
      () => shard({ postgres: { parameters: { fsync: 'off' } } }),
      /what durability.*set by the sitter alone/,
    ],
    ['a parameter by another spelling', () => shard({ postgres: { parameters: { FSYNC: 'off' } } }), /lower case/],
    [
      'a parameter of a template that weakens durability',
      () => dev({ shardTemplate: { postgres: { parameters: { synchronous_commit: 'off' } } } }),
      /set by the sitter alone/,
    ],

    [
      'a storage node by another name',
      () => ({ ...node(), metadata: { name: 'stor-01', namespace: 'manta' } }),
      /stor-<n>, n from 1 to 999999/,
    ],
    ['read-only without a reason', () => node({ mode: 'ReadOnly' }), /mode ReadOnly needs a reason/],
    ['read-only with an empty reason', () => node({ mode: 'ReadOnly', reason: '' }), /needs a reason/],
    ['a storage node with a claim and a size', () => node({ volume: { claimName: 'x' } }), /either size.*or claimName/],
    ['a storage node without either', () => node({ volume: { size: undefined } }), /either size.*or claimName/],
    ['an incarnation that is none', () => node({ acceptIncarnation: 'yes' }), /uuid/],
  ])('%s', async (_, manifest, message) => {
    const answer = await create(manifest());
    expect(answer.message).toMatch(message);
    expect([400, 422]).toContain(answer.status);
  });

  it('every parameter that the sitter sets itself', async () => {
    const text = postgresqlConf(
      {
        role: 'standby',
        ssn: [],
        readOnly: true,
        gate: 'closed',
        upstream: undefined,
        dumps: false,
        databases: [],
        parameters: {},
      },
      {
        id: 'pg-1-0',
        major: 17,
        socketDir: '/run',
        listen: '*',
        port: 5432,
        receiverPasswordFile: '/p',
        tls: { certFile: '/c', keyFile: '/k' },
        walVolumeBytes: 1e9,
      },
    );
    const own = text.slice(text.indexOf('# Not to be changed.')).matchAll(/^(\w+) = /gm);
    const names = [...own].map(([, name = '']) => name);
    expect(names).toContain('fsync');
    for (const name of names) {
      const { message } = await create(shard({ postgres: { parameters: { [name]: 'x' } } }));
      expect([name, message]).toEqual([name, expect.stringContaining('set by the sitter alone')]);
    }
  });
});

describe('what may change afterwards', () => {
  let count = 0;

  /** Makes an object of the kind under a new name, with a status if there is one, and tries to change it. */
  async function change(start: Tree, spec: Tree, status?: Tree) {
    count += 1;
    const kind = start.kind as string;
    const prefix = { MantaRegion: 'region', Shard: 'shard', StorageNode: 'stor' }[kind];
    const made = await send(resources.admin, 'POST', { ...start, metadata: { name: `${prefix}-${count}` } });
    expect(made.message).toBe('');
    let current: Tree = made.object;
    if (status !== undefined) {
      const plural = `${kind.toLowerCase()}s`;
      const path = `/apis/manta.io/v1alpha1/namespaces/manta/${plural}/${made.object.metadata.name}/status`;
      const body = JSON.stringify({ ...current, status });
      const headers = { 'content-type': 'application/json' };
      current = (await resources.admin.json({ method: 'PUT', path, body, headers })) as Tree;
    }
    return send(resources.admin, 'PUT', merged(current, { spec }), { dryRun: true });
  }

  // Rest parameters, or Jest passes a callback where a row has no status.
  type Allowed = [string, () => Tree, Tree, Tree?];
  it.each<Allowed>([
    [
      'the profile rises from lab to production with a certificate',
      () => lab({ storageTemplate: { perZone: 1 } }),
      { profile: 'production', frontDoor: { tls: { secretName: 'x' } } },
    ],
    ['from dev to lab with the one member it has', () => dev(), { profile: 'lab', nameservice: { members: 1 } }],
    ['one zone becomes three', () => dev(), { zones: ['local', 'b', 'c'] }],
    ['a shard grows from one peer to three', () => shard({ peers: 1 }), { peers: 3 }],
    ['a shard grows from three peers to five', () => shard(), { peers: 5 }],
    ['and shrinks to three again', () => shard({ peers: 5 }), { peers: 3 }],
    ['a volume grows', () => shard(), { storage: { data: { size: '1.5Ti' } } }],
    [
      'a volume is written in another unit',
      () => shard({ storage: { wal: { size: '2Gi' } } }),
      { storage: { wal: { size: '2048Mi' } } },
    ],
    ['index is added to a shard', () => shard({ databases: ['jobs'] }), { databases: ['jobs', 'index'] }],
    [
      'index is taken from a shard that holds no vnode',
      () => shard({ databases: ['jobs', 'index'], vnodes: 'None' }),
      { databases: ['jobs'] },
      { vnodes: 0 },
    ],
    ['a storage node becomes read-only', () => node(), { mode: 'ReadOnly', reason: 'disk is dying' }],
    ['the volume of a storage node grows', () => node(), { volume: { size: '30Gi' } }],
  ])('%s', async (...[_, start, spec, status]: Allowed) => {
    expect(await change(start(), spec, status)).toMatchObject({ status: 200, message: '' });
  });

  type Refused = [string, () => Tree, Tree, RegExp, Tree?];
  it.each<Refused>([
    ['the profile does not fall', () => lab(), { profile: 'dev' }, /may only rise: from lab to dev is refused/],
    [
      'nor rise to production where there is one member',
      () => dev(),
      { profile: 'production', frontDoor: { tls: { secretName: 'x' } } },
      /members cannot change.*made with 1/,
    ],
    ['nor to lab without saying that the one member stays', () => dev(), { profile: 'lab' }, /members cannot change/],
    [
      'nor from lab to production without a certificate',
      () => lab({ storageTemplate: { perZone: 1 } }),
      { profile: 'production' },
      /production needs a certificate/,
    ],
    ['the number of members stays', () => dev(), { nameservice: { members: 3 } }, /members cannot change.*made with 1/],
    [
      'the volume of nameservice stays',
      () => dev(),
      { nameservice: { storage: { size: '16Gi' } } },
      /volumes of nameservice cannot change/,
    ],
    ['the name of a region stays', () => dev(), { regionName: 'us-west' }, /the name of a region cannot change/],
    ['its domain stays', () => dev(), { domainSuffix: 'example.org' }, /the domain of a region cannot change/],
    ['a zone is never taken away', () => lab(), { zones: [threeZones[0]] }, /zone cannot be taken away/],
    ['a shard with a sync never goes back to one peer', () => shard(), { peers: 1 }, /cannot go back to a single peer/],
    [
      'control, jobs and ops stay where they are',
      () => shard({ databases: ['control', 'index'] }),
      { databases: ['index'] },
      /cannot be added to a shard or taken from it/,
    ],
    [
      'and go nowhere else',
      () => shard(),
      { databases: ['index', 'ops'] },
      /cannot be added to a shard or taken from it/,
    ],
    [
      'index stays where there are vnodes',
      () => shard({ databases: ['jobs', 'index'], vnodes: 'None' }),
      { databases: ['jobs'] },
      /index cannot be taken from a shard that holds vnodes/,
      { vnodes: 3 },
    ],
    [
      'a volume never shrinks',
      () => shard({ storage: { data: { size: '1Ti' } } }),
      { storage: { data: { size: '1000Gi' } } },
      /can only grow: 1Ti to 1000Gi is refused/,
    ],
    [
      'the class of a volume stays',
      () => shard(),
      { storage: { wal: { class: 'other' } } },
      /storage class of a volume cannot change/,
    ],
    [
      'a restore is for new shards',
      () => shard(),
      { restore: { source: '3.moray.us-east.example.net' } },
      /restored only when it is made/,
    ],
    ['a storage node stays in its zone', () => node(), { zone: 'elsewhere' }, /zone of a storage node cannot change/],
    [
      'and on its claim',
      () => node({ volume: { size: undefined, claimName: 'a' } }),
      { volume: { claimName: 'b' } },
      /claim of a storage node cannot change/,
    ],
    ['its volume never shrinks', () => node(), { volume: { size: '10Gi' } }, /can only grow/],
  ])('%s', async (...[_, start, spec, message, status]: Refused) => {
    const answer = await change(start(), spec, status);
    expect(answer.message).toMatch(message);
    expect(answer.status).toBe(422);
  });
});
