import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import express from 'express';
import { pino } from 'pino';
import { missingRegionKey, readRegionKey } from '../../controllers/secrets/region-key.ts';
import { encodedData } from '../../controllers/secrets/secret-data.ts';
import { createAdminRouter } from '../../images/webapi/internal/admin.ts';
import { createAccountAdmin } from '../../lib/auth/account-admin.ts';
import { authMigrations } from '../../lib/auth/migrations.ts';
import { aKeyPair } from '../../lib/auth/testing.ts';
import { answerErrors } from '../../lib/control-server/answer-errors.ts';
import { createPool, type Pool, poolDefaults } from '../../lib/database/pool.ts';
import { createTestDatabases, type TestDatabases } from '../../lib/database/testing.ts';
import { connectKubernetes } from '../../lib/kubernetes/connect.ts';
import { endpointSlices, pods, secrets, services } from '../../lib/kubernetes/resources.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { createTokenVerifier } from '../../lib/region-token/region-token.ts';
import { aRegion } from '../../lib/resources/testing.ts';
import { type ResourceServer, startResourceServer } from '../../lib/resources/testing-server.ts';
import { mantaRegions } from '../../lib/resources/types.ts';
import { runCli } from '../run.ts';

const logged: string[] = [];
const logger = pino({}, { write: line => void logged.push(line) });
let resources: ResourceServer;
let databases: TestDatabases;
let pool: Pool;
let webapi: Server;
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'manta-cli-accounts-'));
  resources = await startResourceServer();
  databases = await createTestDatabases({ control: [authMigrations] });
  pool = createPool({ logger: pino({ level: 'silent' }), clock: systemClock }, databases.control, {
    ...poolDefaults,
    name: 'control',
  });
  const data = missingRegionKey({});
  await resources.admin.create(mantaRegions, aRegion());
  await resources.admin.create(secrets, {
    metadata: { name: 'manta-region-key', namespace: 'manta' },
    data: encodedData(data),
  });
  const key = readRegionKey(data);
  if (key === undefined) throw new Error('there is no key');
  const publicKeys = new Map([[key.kid, createPublicKey(key.privateKey)]]);
  const tokens = createTokenVerifier({ region: 'us-east', audience: 'webapi', publicKeys, clock: systemClock });
  const app = express();
  app.use(createAdminRouter({ admin: createAccountAdmin({ pool }), tokens, logger }));
  app.use(answerErrors({ logger }));
  webapi = createServer(app);
  await new Promise<void>(resolve => webapi.listen(0, resolve));
  await publish((webapi.address() as AddressInfo).port);
}, 1_800_000);

afterAll(async () => {
  webapi?.closeAllConnections();
  webapi?.close();
  await pool?.close();
  await databases?.drop();
  await resources?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** As the pod and the Service webapi: the API server passes on to addresses of pods, and to none of loopback. */
async function publish(port: number): Promise<void> {
  const own = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? []);
  const ip = own.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  if (ip === undefined) throw new Error('this test needs a network interface besides loopback');
  const metadata = { name: 'webapi', namespace: 'manta' };
  const ports = [{ name: 'control', port }];
  const pod = await resources.admin.create(pods, {
    metadata: { name: 'webapi-1', namespace: 'manta' },
    spec: { containers: [{ name: 'webapi', image: 'webapi' }] },
  });
  const status = { podIP: ip, podIPs: [{ ip }] };
  await resources.admin.replace(pods, { ...pod, status }, { subresource: 'status' });
  await resources.admin.create(services, { metadata, spec: { ports: [{ name: 'control', port: 9090 }] } });
  await resources.admin.create(endpointSlices, {
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'webapi' } },
    addressType: 'IPv4',
    endpoints: [
      {
        addresses: [ip],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', namespace: 'manta', name: 'webapi-1' },
      },
    ],
    ports,
  });
}

async function manta(line: string, kubeconfig = resources.server.kubeconfigFile) {
  const told: string[] = [];
  let printed = '';
  const output = new PassThrough();
  output.on('data', chunk => told.push(String(chunk)));
  const code = await runCli(['-n', 'manta', ...line.split(' ')], {
    calledAs: 'kubectl-manta',
    connect: () => connectKubernetes({ clock: systemClock }, { location: { kind: 'kubeconfig', files: [kubeconfig] } }),
    print: text => {
      printed += text;
    },
    terminal: { input: new PassThrough(), output },
    clock: systemClock,
    random: Math.random,
    signal: new AbortController().signal,
  });
  return { code, printed, told: told.join('') };
}

function aKeyFile(name: string): string {
  const file = join(dir, `${name}.pub`);
  writeFileSync(file, aKeyPair('ed25519').openSsh);
  return file;
}

describe('accounts, through the API server’s proxy to webapi', () => {
  it('are made with a key, listed, shown, disabled and approved', async () => {
    const made = await manta(`account create jill --key ${aKeyFile('laptop')} --operator -y`);
    expect(made).toMatchObject({
      told: 'Account jill, an operator who may see and change everything, with the key laptop.\n',
      code: 0,
      printed: expect.stringMatching(/^jill: created, 1 key\n {2}export MANTA_USER=jill MANTA_KEY_ID=/),
    });
    expect((await manta('account list -o login,approved,groups')).printed).toContain('jill   yes       operators');
    expect(await manta('account disable jill -y')).toMatchObject({ code: 0, printed: 'jill: disabled\n' });
    expect((await manta('account show jill')).printed).toMatch(/^approved {2}no$/m);
    expect(await manta('account approve jill -y')).toMatchObject({ code: 0 });
    expect(JSON.parse((await manta('account show jill -j')).printed)).toMatchObject({ login: 'jill', approved: true });
  });

  it('get and lose keys', async () => {
    await manta(`account create jack --key ${aKeyFile('first')} -y`);
    expect(await manta(`key add jack --key ${aKeyFile('second')} --name desk -y`)).toMatchObject({ code: 0 });
    const missing = await manta('key rm jack third -y');
    expect(missing).toMatchObject({ code: 1, told: expect.stringContaining('it has: desk, first') });
    expect(await manta('key rm jack first -y')).toMatchObject({ code: 0, printed: 'jack: key first removed\n' });
    expect((await manta('account show jack')).printed).not.toContain('first');
  });

  it('that are somebody’s are not made again, and those that are not there are not changed', async () => {
    await manta(`account create jane --key ${aKeyFile('a')} -y`);
    expect(await manta(`account create jane --key ${aKeyFile('b')} -y`)).toMatchObject({
      code: 1,
      told: expect.stringContaining('kubectl manta key add jane'),
    });
    expect(await manta('account disable nobody -y')).toMatchObject({
      code: 1,
      told: expect.stringContaining('nobody does not exist'),
    });
    expect((await manta('account create joe -y')).code).toBe(2);
  });

  it('are changed in the name of the user of the kubeconfig, as webapi’s log says', async () => {
    await manta(`account create jim --key ${aKeyFile('jim')} -y`);
    const line = logged.map(text => JSON.parse(text)).find(({ login }) => login === 'jim');
    expect(line.by).toMatch(/^cli\/.+/);
  });

  it('are none of the business of those who may not read the region’s key', async () => {
    const file = join(dir, 'nobody.kubeconfig');
    writeFileSync(file, await resources.server.kubeconfigFor({ name: 'eve', groups: [] }), { mode: 0o600 });
    expect(await manta('account list', file)).toMatchObject({
      code: 1,
      told: expect.stringContaining('those who may read the Secrets'),
    });
  });
});
