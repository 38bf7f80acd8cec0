import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { createMemoryCoordinator, type MemoryCoordinator } from '../../lib/coordinator/memory.ts';
import { createStore, type Store } from '../../lib/coordinator/store.ts';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { shardKeys } from '../../lib/shard/keys.ts';
import { parseSitterConfig, type SitterConfig, serverConfigOf } from './config.ts';
import { createServer } from './pg/create-server.ts';
import { type SitterProgram, startProgram } from './program.ts';

const keys = shardKeys('/manta', 1);
const PASSWORD = 'only for tests';

let dir: string;
let etcd: Store;
let config: SitterConfig;
let running: SitterProgram[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'manta-sitter-'));
  // PostgreSQL runs as somebody else where this process is root.
  chmodSync(dir, 0o755);
  const passwordDir = join(dir, 'passwords');
  mkdirSync(passwordDir);
  for (const role of ['manta_migrate', 'manta_webapi', 'manta_replication', 'manta_monitor']) {
    writeFileSync(join(passwordDir, role), PASSWORD);
  }
  const [pgPort = 0, sitterPort = 0] = await freePorts(2);
  config = parseSitterConfig(
    {
      shard: 1,
      id: 'pg-1-0',
      host: '127.0.0.1',
      dataDir: join(dir, 'data'),
      runDir: join(dir, 'run'),
      passwordDir,
      postgres: { port: pgPort, listen: '127.0.0.1' },
      sitter: { port: sitterPort, listen: '127.0.0.1' },
      etcd: { endpoints: ['http://127.0.0.1:1'] },
    },
    {},
  );
  etcd = createStore();
  running = [];
  etcd.commit({
    compare: [],
    operations: [
      { put: keys.config, value: JSON.stringify({ peers: 1, databases: ['test'] }) },
      { put: keys.bootstrap, value: JSON.stringify({ at: new Date().toISOString() }) },
    ],
  });
});
afterEach(async () => {
  for (const program of running) {
    program.terminate();
    await program.ended.catch(() => {});
  }
  rmSync(dir, { recursive: true, force: true });
});

async function start(): Promise<SitterProgram & { coordinator: MemoryCoordinator }> {
  const coordinator = createMemoryCoordinator({ store: etcd, clock: systemClock });
  const program = await startProgram(
    {
      logger: pino({ level: 'silent' }),
      clock: systemClock,
      coordinator,
      createServer: deps => createServer(deps, serverConfigOf(config)),
      randomName: () => randomBytes(6).toString('hex'),
    },
    config,
  );
  running.push(program);
  return { ...program, coordinator };
}

const get = (path: string) => fetch(`http://127.0.0.1:${config.sitter.port}${path}`);
/** What people are shown, as far as it is looked at here. */
interface Shown {
  readonly state: { readonly systemId: string };
  readonly coordination: { readonly readAgeMs?: number; readonly isRegistered: boolean };
}
const shown = async () => (await (await get('/admin/v1/state')).json()) as Shown;
const ready = () => eventually(async () => (await get('/readyz')).status === 200, 60_000);

async function query(text: string): Promise<unknown[]> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: config.postgres.port,
    user: 'manta_migrate',
    password: PASSWORD,
    database: 'test',
  });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('a shard of one peer comes up from nothing, serves, ends when asked to, and comes up again with its data', async () => {
  const first = await start();
  await ready();
  await query('CREATE TABLE fish AS SELECT 7 AS n');
  const found = await shown();
  expect(found).toMatchObject({ role: 'primary', health: 'ok', isReady: true, state: { oneNode: 'created' } });
  expect(await (await get('/metrics')).text()).toContain('manta_postgres_writable 1');
  const record = JSON.parse(etcd.get(keys.peer('pg-1-0'))?.value ?? '{}');
  expect(record).toMatchObject({ status: 'active', systemId: found.state.systemId });

  first.terminate();
  await first.ended;
  expect(etcd.get(keys.peer('pg-1-0'))).toBeUndefined();
  await expect(query('SELECT')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(get('/livez')).rejects.toThrow();

  await start();
  await ready();
  expect(await query('SELECT n FROM fish')).toEqual([{ n: 7 }]);
}, 120_000);

test('a peer whose predecessor left its key behind takes the place of that one only', async () => {
  const first = await start();
  await ready();
  const left = etcd.get(keys.peer('pg-1-0'))?.value ?? '';
  first.terminate();
  await first.ended;
  // As after a kill: the key stands for as long as its lease.
  etcd.commit({ compare: [], operations: [{ put: keys.peer('pg-1-0'), value: left }] });

  const second = await start();
  await ready();
  expect(etcd.get(keys.peer('pg-1-0'))?.value).not.toContain(JSON.parse(left).session);
  second.terminate();
  await second.ended;

  etcd.commit({ compare: [], operations: [{ put: keys.peer('pg-1-0'), value: '{"session":"a stranger"}' }] });
  await start();
  await eventually(async () => {
    const { coordination } = await shown();
    return coordination.readAgeMs !== undefined && coordination.isRegistered === false;
  });
  expect(etcd.get(keys.peer('pg-1-0'))?.value).toContain('a stranger');
}, 120_000);
