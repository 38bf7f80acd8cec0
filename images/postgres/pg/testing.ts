import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import type { Endpoint, ServerView, Settings } from '../server.ts';
import { createServer, type PgServer } from './create-server.ts';
import { createSession, type Session } from './session.ts';

/** Every role's password in tests. */
export const testPassword = 'only:for\\tests';

const PASSWORD_ROLES = [
  'manta_migrate',
  'manta_webapi',
  'manta_jobsupervisor',
  'manta_ops',
  'manta_dump',
  'manta_move',
  'manta_replication',
  'manta_monitor',
];

/** One peer's PostgreSQL, real, on directories and a port of its own. */
export interface TestPeer {
  readonly server: PgServer;
  readonly endpoint: Endpoint;
  readonly dir: string;
  /** Of the current incarnation. */
  dataDirectory(): string;
  /** Makes an incarnation current, as the local record does. */
  adopt(incarnation: string): void;
  incarnation(): string | null;
  /** Superuser's queries, past everything the sitter does. */
  readonly sql: Session;
  start(settings: Settings): Promise<void>;
  /** Settings written, read, and in force for new connections. */
  configure(settings: Settings): Promise<void>;
  /** Observes until the view is as wanted. */
  sees(check: (view: ServerView) => unknown, withinMs?: number): Promise<void>;
}

/** A place for a test file's peers. */
export interface TestPlace {
  readonly dir: string;
  /** A peer without a data directory. */
  empty(id: string): Promise<TestPeer>;
  /** A peer whose directory is a copy of one that initdb made once, with roles: all of them are of one shard. */
  copy(id: string): Promise<TestPeer>;
  /** Ends and removes the peers of one test. */
  clear(): Promise<void>;
  remove(): Promise<void>;
}

export const noSettings: Settings = {
  role: 'primary',
  ssn: [],
  readOnly: false,
  gate: 'closed',
  upstream: undefined,
  dumps: false,
  databases: ['app'],
  parameters: { shared_buffers: '16MB', wal_keep_size: '128MB', max_connections: '30' },
};

/** Settings of a standby of `upstream`. */
export function standbyOf(upstream: TestPeer, change: Partial<Settings> = {}): Settings {
  return { ...noSettings, role: 'standby', ssn: ['_nobody_'], readOnly: true, upstream: upstream.endpoint, ...change };
}

/** P, S and A0 in a chain: P waits for S, S is set up to wait for A0. */
export async function createChain(place: TestPlace): Promise<{ p: TestPeer; s: TestPeer; a: TestPeer }> {
  const [p, s, a] = [await place.copy('peer-0'), await place.copy('peer-1'), await place.copy('peer-2')];
  for (const standby of [s, a]) await standby.server.writeReceiverPassword('current');
  await p.start({ ...noSettings, ssn: [] });
  await Promise.all([s.start(standbyOf(p, { ssn: ['peer-2'] })), a.start(standbyOf(s))]);
  await a.sees(view => view.answered?.isStreaming);
  await p.configure({ ...noSettings, ssn: ['peer-1'], gate: 'open' });
  await p.sees(view => view.answered?.senders.some(sender => sender.name === 'peer-1' && sender.priority === 1));
  return { p, s, a };
}

export async function createTestPlace(): Promise<TestPlace> {
  const dir = mkdtempSync(join(tmpdir(), 'manta-pg-'));
  chmodSync(dir, 0o755);
  const passwordDir = join(dir, 'passwords');
  mkdirSync(passwordDir);
  for (const role of PASSWORD_ROLES) writeFileSync(join(passwordDir, role), `${testPassword}\n`);
  const peers: TestPeer[] = [];
  let template: Promise<string> | undefined;

  async function empty(id: string): Promise<TestPeer> {
    const peer = await createTestPeer(join(dir, id), id, passwordDir);
    peers.push(peer);
    return peer;
  }

  async function copy(id: string): Promise<TestPeer> {
    template ??= createTestPeer(join(dir, 'template'), 'template', passwordDir).then(makeTemplate);
    const from = await template;
    const peer = await empty(id);
    execFileSync('cp', ['-a', from, join(peer.dir, 'pg', 'first')]);
    writeFileSync(join(peer.dir, 'pg', 'first.complete'), '');
    peer.adopt('first');
    return peer;
  }

  async function clear() {
    for (const peer of peers.splice(0)) {
      peer.sql.drop();
      await peer.server.stop('kill', AbortSignal.timeout(10_000));
      rmSync(peer.dir, { recursive: true, force: true });
    }
  }

  return {
    dir,
    empty,
    copy,
    clear,
    async remove() {
      await clear();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function makeTemplate(peer: TestPeer): Promise<string> {
  peer.adopt(await peer.server.initialise(AbortSignal.timeout(30_000)));
  await peer.start(noSettings);
  await peer.server.createRoles();
  await peer.server.createDatabases(['app']);
  await peer.server.stop('fast', AbortSignal.timeout(30_000));
  return peer.dataDirectory();
}

async function createTestPeer(dir: string, id: string, passwordDir: string): Promise<TestPeer> {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  let incarnation: string | null = null;
  let made = 0;
  const server = await createServer(
    {
      logger: pino({ level: 'info' }, pino.destination({ dest: join(dir, 'log'), sync: true })),
      clock: systemClock,
      currentIncarnation: () => incarnation,
      randomName: () => `made${++made}`,
      onChange: () => {},
    },
    {
      id,
      dataDir: dir,
      runDir: join(dir, 'run'),
      passwordDir,
      listen: '127.0.0.1',
      port,
      ownHost: '127.0.0.1',
      peerNetworks: ['127.0.0.0/8'],
      rebuildMaxRateKb: 200 * 1024,
      times: { stopFastMs: 10_000, stopImmediateMs: 5_000 },
    },
  );
  const peer: TestPeer = {
    server,
    endpoint: { id, host: '127.0.0.1', port },
    dir,
    dataDirectory: () => join(dir, 'pg', incarnation ?? ''),
    adopt: name => {
      incarnation = name;
    },
    incarnation: () => incarnation,
    sql: createSession(
      { socketDir: join(dir, 'run', 'socket'), port },
      { name: 'test', deadlineMs: 15_000, writes: true },
    ),
    async start(settings) {
      await server.writeSettings(settings);
      await server.start(AbortSignal.timeout(20_000));
    },
    async configure(settings) {
      await server.writeSettings(settings);
      await server.reload();
      await eventually(async () => {
        const { ssn, readOnly } = await server.inForce();
        return JSON.stringify(ssn) === JSON.stringify(settings.ssn) && readOnly === settings.readOnly;
      }, 2_000);
    },
    sees: (check, withinMs = 5_000) => eventually(async () => Boolean(await check(await server.observe())), withinMs),
  };
  return peer;
}

/** Logs in over TCP as a client would, and says why not when it may not. */
export async function login(peer: TestPeer, user: string, database: string): Promise<'in' | string> {
  const client = new pg.Client({ ...peer.endpoint, user, password: testPassword, database });
  client.on('error', () => {});
  try {
    await client.connect();
    return 'in';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => {});
  }
}

async function freePort(): Promise<number> {
  const probe = createTcpServer();
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise(resolve => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
