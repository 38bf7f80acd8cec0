import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { pino } from 'pino';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { type LocalShard, startLocalShard } from './local-shard.ts';
import { printHistory, printStatus } from './print.ts';

const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
const dir = mkdtempSync(join(tmpdir(), 'manta-local-shard-'));
chmodSync(dir, 0o755);
let shard: LocalShard | undefined;

function start(): Promise<LocalShard> {
  return startLocalShard(deps, { dir, peers: 3, etcdMembers: 1, hosts: 'loopback', databases: ['test'] });
}

/** One statement at the primary, as a client. */
async function ask(text: string): Promise<unknown[]> {
  if (shard === undefined) throw new Error('there is no shard');
  const { state } = await shard.waitUntilWritable();
  const { hostname: host, port } = new URL(state?.primary.pgUrl ?? '');
  const password = shard.passwords.manta_migrate ?? '';
  const client = new pg.Client({ host, port: Number(port), user: 'manta_migrate', password, database: 'test' });
  await client.connect();
  try {
    return (await client.query({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

afterAll(async () => {
  await shard?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('a shard on one machine serves, survives its primary, and goes on after a stop', async () => {
  shard = await start();
  await shard.waitUntilHealthy();
  await ask('CREATE TABLE kept (id int)');
  await ask('INSERT INTO kept VALUES (1)');
  const before = (await shard.client.read()).state?.value;
  await shard.peer(before?.primary.id ?? '').killTree();
  expect(await ask('SELECT count(*) FROM kept')).toEqual([['1']]);
  const status = await shard.waitUntilHealthy();
  expect(status.state?.generation).toBe((before?.generation ?? 0) + 1);
  expect(printStatus(status)).toMatch(/No problems/);

  await shard.stop();
  shard = await start();
  expect(await ask('SELECT count(*) FROM kept')).toEqual([['1']]);
  const { text, broken } = printHistory(await shard.client.history());
  expect(broken).toBe(0);
  expect(text).toMatch(/ {2}takeover\n/);
}, 180_000);
