import pg from 'pg';
import { pino } from 'pino';
import { createPool, poolDefaults } from '../../lib/database/pool.ts';
import { testServer } from '../../lib/database/testing.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { check, type PeerTable } from './checker.ts';
import { createTable, type LoadClient, poolClient, sessionClient } from './load-client.ts';
import { type Loader, startLoader } from './loader.ts';
import { connectReadWrite } from './multi-host.ts';

const admin = new pg.Client({ ...testServer(), database: 'postgres' });
const server = { ...testServer(), database: 'postgres', application_name: 'loader-test' };
const pool = createPool({ logger: pino({ level: 'silent' }), clock: systemClock }, () => server, {
  name: 'loader',
  ...poolDefaults,
});
const nowhere = { host: '127.0.0.1', port: 1 };
let loader: Loader | undefined;

const peer: PeerTable = {
  name: 'server',
  query: async text => (await admin.query({ text, rowMode: 'array' })).rows.map(row => row.map(String)),
};

async function start(table: string, connect: () => LoadClient): Promise<Loader> {
  for (const text of createTable(table)) await admin.query(text);
  loader = startLoader({ clock: systemClock }, { connect, paceMs: 1, stopWithinMs: 5_000 });
  return loader;
}

beforeAll(() => admin.connect());
afterEach(async () => {
  await loader?.stop();
  await admin.query('DROP TABLE IF EXISTS load_pool, load_session');
});
afterAll(async () => {
  await pool.close();
  await admin.end();
});

describe('the loader of shard faults', () => {
  test.each<[string, string, () => LoadClient]>([
    ['through a pool', 'load_pool', () => poolClient(pool, 'load_pool')],
    [
      'through sessions of its own',
      'load_session',
      () => sessionClient({ table: 'load_session', connect: () => connectReadWrite([nowhere, server]) }),
    ],
  ])('accounts for every write %s while its connections are killed', async (_, table, connect) => {
    const running = await start(table, connect);
    for (let round = 0; round < 20; round += 1) {
      await running.acknowledged(5_000);
      const backends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'loader-test'";
      await admin.query(backends);
    }
    const journal = await running.stop();
    const verdict = await check({ journal, writers: running.writers, table, peers: [peer] });
    expect(verdict.violations).toEqual([]);
    expect(journal.count('ok')).toBeGreaterThan(100);
    expect(journal.reads.length).toBeGreaterThan(0);
  });

  test('says unknown of what never answered', async () => {
    const hanging: LoadClient = { insert: () => new Promise(() => {}), newest: async () => [], close: async () => {} };
    loader = startLoader({ clock: systemClock }, { connect: () => hanging, writers: 3, stopWithinMs: 10 });
    const journal = await loader.stop();
    expect(journal.writes.map(({ client, outcome }) => [client, outcome])).toEqual([
      [0, 'unknown'],
      [1, 'unknown'],
      [2, 'unknown'],
    ]);
  });
});
