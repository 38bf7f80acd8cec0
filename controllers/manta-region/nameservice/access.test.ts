import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createAuthority, issueCertificate } from '../../../lib/certificates/issue.ts';
import { createEtcdCoordinator } from '../../../lib/coordinator/etcd.ts';
import { type EtcdCluster, startEtcdCluster } from '../../../lib/etcd-process/etcd-cluster.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { type AccessStep, type EtcdAccess, etcdUsers, planAccess, readAccess } from './access.ts';
import { createEtcdGateway, type EtcdGateway } from './etcd-gateway.ts';

const empty: EtcdAccess = { isEnabled: false, users: new Map(), roles: new Map() };
const paths = (steps: readonly AccessStep[]) =>
  steps.map(({ path, body }) => `${path} ${body.name ?? body.user ?? body.role ?? ''}`);

describe('the plan', () => {
  it('of an etcd without users ends with turning access control on', () => {
    const plan = paths(planAccess(empty, [], { root: 'r' }, new Set()));
    expect(plan).toEqual(['auth/role/add root', 'auth/user/add root', 'auth/user/grant root', 'auth/enable ']);
  });

  it('leaves alone what somebody else has made, and removes users of shards that are gone', () => {
    const found: EtcdAccess = {
      isEnabled: true,
      users: new Map([
        ['root', ['root']],
        ['shard-7', ['shard-7']],
        ['shard-8', []],
        ['auditor', ['auditor']],
      ]),
      roles: new Map([
        ['root', []],
        ['shard-7', []],
      ]),
    };
    expect(paths(planAccess(found, [], {}, new Set()))).toEqual([
      'auth/user/delete shard-7',
      'auth/role/delete shard-7',
      'auth/user/delete shard-8',
    ]);
  });

  it('sets a password only for who is refused with it', () => {
    const found: EtcdAccess = { isEnabled: true, users: new Map([['root', ['root']]]), roles: new Map([['root', []]]) };
    expect(planAccess(found, [], { root: 'new' }, new Set())).toEqual([]);
    expect(planAccess(found, [], { root: 'new' }, new Set(['root']))).toEqual([
      { path: 'auth/user/changepw', body: { name: 'root', password: 'new' } },
    ]);
  });
});

describe('access to an etcd with TLS', () => {
  const logger = pino({ level: 'silent' });
  const passwords: Record<string, string> = {
    root: 'r',
    operator: 'o',
    resolver: 's',
    'shard-1': 'one',
    'shard-2': 'two',
  };
  let dir: string;
  let ca: string;
  let etcd: EtcdCluster;
  let gateway: EtcdGateway;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'manta-access-'));
    const authority = await createAuthority({ commonName: 'nameservice', years: 1 }, Date.now());
    const leaf = {
      subject: { commonName: 'nameservice' },
      dnsNames: ['localhost'],
      addresses: ['127.0.0.1'],
      usages: ['server', 'client'] as const,
    };
    const server = await issueCertificate(authority, { ...leaf, days: 1 }, Date.now());
    const jwt = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const files = {
      'tls.crt': server.certificate,
      'tls.key': server.key,
      'jwt.key': jwt.privateKey,
      'jwt.pub': jwt.publicKey,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    ca = authority.certificate;
    const jwtFlag = `jwt,pub-key=${join(dir, 'jwt.pub')},priv-key=${join(dir, 'jwt.key')},sign-method=ES256,ttl=10m`;
    etcd = await startEtcdCluster(
      { logger },
      {
        members: 1,
        dir,
        scheme: 'https',
        unsafeNoFsync: true,
        args: ['--cert-file', join(dir, 'tls.crt'), '--key-file', join(dir, 'tls.key'), '--auth-token', jwtFlag],
      },
    );
    gateway = createEtcdGateway({ endpoints: ['https://127.0.0.1:1', ...etcd.endpoints], ca, rootPassword: 'r' });
  }, 300_000);

  afterAll(async () => {
    await gateway?.close();
    await etcd?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const plan = async (shards: number[], refused: string[] = []) =>
    planAccess(await readAccess(gateway), etcdUsers(shards), passwords, new Set(refused));
  const as = (username: string, password = passwords[username] ?? '') =>
    createEtcdCoordinator(
      { logger, clock: systemClock },
      {
        endpoints: etcd.endpoints,
        deadlineMs: 2_000,
        tls: { root: Buffer.from(ca), serverName: 'localhost' },
        credentials: async () => ({ username, password }),
      },
    );
  const write = async (username: string, key: string) => {
    const client = as(username);
    const outcome = await client.commit({ compare: [], operations: [{ put: key, value: '1' }] });
    await client.close();
    return outcome.kind;
  };

  it('is brought about from any place that a kill left it at, and is complete then', async () => {
    const rounds = (await plan([1])).length;
    // One call a round, with a client that knows nothing of the round before, as after a kill.
    for (let round = 0; round < rounds; round += 1) {
      const [step] = await plan([1]);
      await gateway.call(step?.path ?? '', step?.body);
      await gateway.close();
      gateway = createEtcdGateway({ endpoints: ['https://127.0.0.1:1', ...etcd.endpoints], ca, rootPassword: 'r' });
    }
    expect(await plan([1])).toEqual([]);
    for (const step of await plan([1, 2])) await gateway.call(step.path, step.body);
    expect(await plan([1, 2])).toEqual([]);
  });

  it('lets everybody write where they should and nowhere else', async () => {
    expect(await write('shard-1', '/manta/shards/1/state')).toBe('committed');
    expect(await write('shard-1', '/manta/history/1/000000000001')).toBe('committed');
    expect(await write('shard-1', '/manta/shards/2/state')).toBe('unavailable');
    expect(await write('shard-1', '/manta/shards/10/state')).toBe('unavailable');
    expect(await write('resolver', '/manta/shards/1/state')).toBe('unavailable');
    expect(await write('operator', '/manta/shards/2/config')).toBe('committed');
    const resolver = as('resolver');
    expect((await resolver.read('/manta/shards/1/')).entries).toHaveLength(1);
    await resolver.close();
  });

  it('follows a changed password, and ends with the shard', async () => {
    expect(await gateway.accepts('shard-2', 'two')).toBe(true);
    expect(await gateway.accepts('shard-2', 'changed')).toBe(false);
    passwords['shard-2'] = 'changed';
    for (const step of await plan([1, 2], ['shard-2'])) await gateway.call(step.path, step.body);
    expect(await write('shard-2', '/manta/shards/2/state')).toBe('committed');
    for (const step of await plan([1])) await gateway.call(step.path, step.body);
    expect(await gateway.accepts('shard-2', 'changed')).toBe(false);
    expect(await plan([1])).toEqual([]);
  });

  it('says which member did not answer, and what etcd refused', async () => {
    await expect(gateway.callAt('https://127.0.0.1:1', 'maintenance/status')).rejects.toMatchObject({
      code: 'EtcdUnavailable',
    });
    await expect(gateway.call('auth/user/delete', { name: 'nobody' })).rejects.toMatchObject({
      code: 'EtcdRefused',
      message: expect.stringContaining('user name not found'),
    });
  });
});
