import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { type EtcdCluster, type EtcdClusterConfig, startEtcdCluster } from '../etcd-process/etcd-cluster.ts';
import type { EtcdMember } from '../etcd-process/etcd-member.ts';
import { eventually } from '../eventually/eventually.ts';
import { systemClock } from '../lifecycle/clock.ts';
import type { CommitOutcome, Coordinator } from './coordinator.ts';
import { createEtcdCoordinator, type EtcdConfig } from './etcd.ts';
import { followPrefix } from './follow-prefix.ts';
import { register } from './registration.ts';

const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
const cleanups: (() => Promise<unknown>)[] = [];
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-etcd-coordinator-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function undo(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

async function start(name: string, config: Omit<EtcdClusterConfig, 'dir'>): Promise<EtcdCluster> {
  return startEtcdCluster(deps, { dir: join(dir, name), unsafeNoFsync: true, ...config });
}

function connect(endpoints: readonly string[], config: Partial<EtcdConfig> = {}): Coordinator {
  const client = createEtcdCoordinator(deps, { endpoints, ...config });
  cleanups.push(() => client.close());
  return client;
}

function put(client: Coordinator, key: string, value: string): Promise<CommitOutcome> {
  return client.commit({ compare: [], operations: [{ put: key, value }] });
}

/** A busy machine may take longer than a deadline to connect; what was taken is not repeated here. */
async function mustPut(client: Coordinator, key: string, value: string): Promise<void> {
  await eventually(async () => {
    const outcome = await put(client, key, value);
    expect(outcome.kind).not.toBe('unknown');
    return outcome.kind === 'committed';
  });
}

describe('three members', () => {
  let cluster: EtcdCluster;
  beforeAll(async () => {
    cluster = await start('three', { members: 3 });
  }, 600_000);
  afterEach(async () => {
    await undo();
    for (const member of cluster.members) member.resume();
    await Promise.all(cluster.members.map(member => member.start()));
    const client = connect(cluster.endpoints);
    await eventually(() => client.read('/'));
    await undo();
  });
  afterAll(() => cluster?.stop());

  async function leader(): Promise<EtcdMember> {
    let found: EtcdMember | undefined;
    await eventually(async () => {
      found = await cluster.leader();
      return found !== undefined;
    });
    return found as EtcdMember;
  }

  /** The endpoints, those of the given member first. */
  function beginningWith(first: EtcdMember): string[] {
    return [first.endpoint, ...cluster.endpoints.filter(endpoint => endpoint !== first.endpoint)];
  }

  async function follower(): Promise<EtcdMember> {
    const leading = await leader();
    return cluster.members.find(member => member !== leading) as EtcdMember;
  }

  it('of which one is frozen: a reading goes on to the next, and later calls begin there', async () => {
    const frozen = await follower();
    const client = connect(beginningWith(frozen));
    await mustPut(client, '/a', '1');
    await frozen.pause();
    const begun = performance.now();
    expect((await client.read('/a')).entries).toHaveLength(1);
    expect(performance.now() - begun).toBeLessThan(1_500);
    await mustPut(client, '/a', '2');
  });

  it('of which one is frozen: a transaction it took is unknown and is sent to no other', async () => {
    const frozen = await follower();
    const client = connect(beginningWith(frozen));
    await mustPut(client, '/a', '1');
    await frozen.pause();
    expect(await put(client, '/a', '2')).toMatchObject({ kind: 'unknown' });
    await eventually(async () => expect((await client.read('/a')).entries[0]?.value).toBe('1'));
    await mustPut(client, '/a', '3');
  });

  it('of which one is down: nothing fails', async () => {
    const down = await follower();
    const client = connect(beginningWith(down));
    await down.kill();
    await mustPut(client, '/a', '1');
    expect((await client.read('/a')).entries).toHaveLength(1);
  });

  it('lose their leader in the middle of many additions and lose or repeat none', async () => {
    const client = connect(cluster.endpoints);
    const leading = await leader();
    const known = new Set<string>();
    let unknown = 0;
    for (let n = 0; n < 60; n += 1) {
      const key = `/additions/${String(n).padStart(3, '0')}`;
      if (n === 20) await leading.kill();
      const operations = [{ put: key, value: '' }];
      let outcome = await client.commit({ compare: [{ key, is: 'absent' }], operations });
      for (let tries = 0; outcome.kind !== 'committed'; tries += 1) {
        if (tries > 50) throw new Error('no leader came');
        if (outcome.kind === 'unknown') unknown += 1;
        // Only an outcome that was unknown may have been a success.
        if (outcome.kind === 'conflict') {
          expect(unknown).toBeGreaterThan(0);
          break;
        }
        outcome = await client.commit({ compare: [{ key, is: 'absent' }], operations });
      }
      known.add(key);
    }
    const { entries } = await client.read('/additions/');
    expect(entries.map(entry => entry.key)).toEqual([...known]);
    expect(entries.every(entry => entry.createRevision === entry.modRevision)).toBe(true);
  });

  it('without a majority neither answer readings nor promise anything about a transaction', async () => {
    const client = connect(cluster.endpoints);
    await mustPut(client, '/a', '1');
    const [remaining, ...others] = cluster.members as [EtcdMember, EtcdMember, EtcdMember];
    let hints = 0;
    const alone = connect([remaining.endpoint]);
    alone.watch('/w/', () => {
      hints += 1;
    });
    await eventually(() => hints > 0);
    await mustPut(alone, '/a', '1');
    const before = hints;
    await Promise.all(others.map(member => member.kill()));
    await expect(client.read('/a')).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
    // Until the member knows that it has lost the others, it takes transactions that may yet come true.
    expect(['unknown', 'unavailable']).toContain((await put(alone, '/a', '2')).kind);
    // It still listens: that it has lost them ends the watch all the same.
    await eventually(() => hints > before, 5_000);
    await eventually(async () => (await put(alone, '/a', '2')).kind === 'unavailable');
    expect(await put(alone, '/b', '1')).toMatchObject({ kind: 'unavailable', message: /no leader/ });
    await Promise.all(others.map(member => member.start()));
    await mustPut(alone, '/a', '3');
    expect((await alone.read('/b')).entries).toEqual([]);
  });

  it('keep a watch going when the member it is attached to falls silent', async () => {
    const frozen = await follower();
    const client = connect(beginningWith(frozen));
    let hints = 0;
    client.watch('/w/', () => {
      hints += 1;
    });
    await eventually(() => hints > 0);
    await frozen.pause();
    // The dead connection is found within two seconds, and its loss is a hint.
    await eventually(() => hints >= 3, 5_000);
    const before = hints;
    await eventually(async () => (await put(client, '/w/a', '1')).kind === 'committed');
    await eventually(() => hints > before, 2_000);
  });

  it('keep a registration through the death of their leader: the key never goes', async () => {
    const client = connect(cluster.endpoints);
    const config = { key: '/peers/a', session: 's', value: () => '{"session":"s"}' };
    const registration = register(deps, client, config);
    cleanups.push(() => registration.release());
    await eventually(() => registration.isValid());
    const revision = registration.createRevision();
    await (await leader()).kill();
    const until = performance.now() + 3_000;
    await eventually(async () => {
      const read = await client.read('/peers/').catch(() => undefined);
      if (read !== undefined) expect(read.entries).toHaveLength(1);
      return performance.now() > until;
    });
    await eventually(() => registration.isValid());
    expect(registration.createRevision()).toBe(revision);
  });
});

describe('one member', () => {
  let cluster: EtcdCluster;
  let member: EtcdMember;
  let url: string;
  afterEach(async () => {
    await undo();
    await cluster?.stop();
  });

  async function begin(name: string, config: Partial<EtcdClusterConfig> = {}): Promise<void> {
    cluster = await start(name, { members: 1, ...config });
    [member] = cluster.members as [EtcdMember];
    url = member.endpoint;
  }

  it('that an old backup was restored into is seen to have gone back', async () => {
    await begin('restored');
    const client = connect([url]);
    await mustPut(client, '/a/x', 'old');
    await member.stop();
    member.snapshot(join(dir, 'backup'));
    await member.start();
    for (const value of ['new', 'newer'])
      await eventually(async () => (await put(client, '/a/x', value)).kind === 'committed');
    const view = followPrefix(deps, client, '/a/');
    cleanups.push(() => view.close());
    await eventually(() => view.current()?.entries[0]?.value === 'newer');
    await member.stop();
    member.restore(join(dir, 'backup'));
    await member.start();
    await eventually(() => view.current()?.entries[0]?.value === 'old');
    expect(view.current()?.wentBack).toBe(true);
  });

  it('that is frozen is given up within seconds though nobody watches: then it certainly takes no transaction', async () => {
    await begin('frozen');
    const client = connect([url]);
    await mustPut(client, '/a', '1');
    await member.pause();
    expect(await put(client, '/a', '2')).toMatchObject({ kind: 'unknown' });
    await eventually(async () => (await put(client, '/a', '3')).kind === 'unavailable', 5_000);
    member.resume();
    await eventually(async () => (await put(client, '/a', '4')).kind === 'committed', 2_000);
  });

  it('that demands passwords: one that changed is read anew, and a restart that forgot the tokens is not noticed', async () => {
    await begin('passwords', { args: ['--bcrypt-cost', '4'] });
    const post = async (path: string, body: object, token?: string) => {
      const headers = token === undefined ? {} : { Authorization: token };
      const response = await fetch(`${url}/v3/auth/${path}`, { method: 'POST', body: JSON.stringify(body), headers });
      if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
      return (await response.json()) as { readonly token: string };
    };
    for (const name of ['root', 'shard-1']) {
      await post('user/add', { name, password: 'first' });
      await post('role/add', { name });
    }
    const encode = (text: string) => Buffer.from(text).toString('base64');
    const perm = { permType: 'READWRITE', key: encode('/1/'), range_end: encode('/10') };
    await post('role/grant', { name: 'shard-1', perm });
    for (const name of ['root', 'shard-1']) await post('user/grant', { user: name, role: name });
    await post('enable', {});

    let password = 'first';
    let asked = 0;
    const credentials = async () => {
      asked += 1;
      return { username: 'shard-1', password };
    };
    const client = connect([url], { credentials });
    let hints = 0;
    client.watch('/1/', () => {
      hints += 1;
    });
    await mustPut(client, '/1/a', '1');
    expect(await put(client, '/2/a', '1')).toMatchObject({ kind: 'unavailable', message: /permission denied/ });
    await eventually(() => hints > 0);
    const registered = register(deps, client, { key: '/1/peer', session: 's', value: () => '{"session":"s"}' });
    cleanups.push(() => registered.release());
    await eventually(() => registered.isValid());
    expect(await put(connect([url]), '/1/a', '2')).toMatchObject({ kind: 'unavailable' });

    await member.restart();
    await eventually(async () => (await put(client, '/1/a', '3')).kind === 'committed');
    const watched = hints;
    await mustPut(client, '/1/a', '4');
    await eventually(() => hints > watched);

    const { token } = await post('authenticate', { name: 'root', password: 'first' });
    await post('user/changepw', { name: 'shard-1', password: 'second' }, token);
    password = 'second';
    const before = asked;
    await eventually(async () => (await put(client, '/1/a', '5')).kind === 'committed');
    expect(asked).toBeGreaterThan(before);

    password = 'wrong';
    expect(await put(connect([url], { credentials }), '/1/a', '6')).toMatchObject({ kind: 'unavailable' });
  });

  it('with TLS is spoken to by clients that show a certificate and trust its own', async () => {
    const file = (name: string) => join(dir, name);
    const subject = ['-subj', '/CN=etcd', '-addext', 'subjectAltName=DNS:etcd,IP:127.0.0.1'];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file('key.pem')];
    execFileSync('openssl', ['req', '-x509', ...key, '-out', file('cert.pem'), '-days', '1', ...subject], {
      stdio: 'ignore',
    });
    const trust = ['--client-cert-auth', '--trusted-ca-file', file('cert.pem')];
    await begin('tls', {
      scheme: 'https',
      args: ['--cert-file', file('cert.pem'), '--key-file', file('key.pem'), ...trust],
    });
    const root = readFileSync(file('cert.pem'));
    const client = connect([url], {
      tls: { root, cert: root, key: readFileSync(file('key.pem')), serverName: 'etcd' },
    });
    await eventually(async () => (await put(client, '/a', '1')).kind === 'committed');
    const anonymous = connect([url], { tls: { root, serverName: 'etcd' } });
    const misled = connect([url], {
      tls: { root, cert: root, key: readFileSync(file('key.pem')), serverName: 'other' },
    });
    for (const other of [anonymous, misled])
      expect(await put(other, '/a', '2')).not.toMatchObject({ kind: 'committed' });
    expect(() => connect([url], { tls: { root } })).toThrow(/needs the name/);
    await expect(connect([url.replace('https', 'http')]).read('/a')).rejects.toMatchObject({
      code: 'CoordinatorUnavailable',
    });
    expect((await client.read('/a')).entries[0]?.value).toBe('1');
  });
});
