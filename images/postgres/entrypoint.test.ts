import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../lib/etcd-process/ports.ts';
import { eventually } from '../../lib/eventually/eventually.ts';

let dir: string;
let port: number;
let started: ChildProcess[];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'manta-entrypoint-'));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, 'passwords'));
  const [pg, sitter = 0, nobody] = await freePorts(3);
  port = sitter;
  started = [];
  const config = {
    shard: 1,
    id: 'pg-1-0',
    host: '127.0.0.1',
    dataDir: join(dir, 'data'),
    runDir: join(dir, 'run'),
    passwordDir: join(dir, 'passwords'),
    postgres: { port: pg, listen: '127.0.0.1' },
    sitter: { port, listen: '127.0.0.1' },
    etcd: { endpoints: [`http://127.0.0.1:${nobody}`] },
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
});
afterEach(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function start(): ChildProcess {
  const child = spawn(join(import.meta.dirname, 'entrypoint.sh'), ['--config', join(dir, 'config.json')], {
    env: { ...process.env, MANTA_POSTGRES_DATA: join(dir, 'data') },
    stdio: 'ignore',
  });
  started.push(child);
  return child;
}

test('it becomes the sitter, which is alive without etcd, has the volume for itself, and ends when asked to', async () => {
  const first = start();
  await eventually(async () => (await fetch(`http://127.0.0.1:${port}/livez`)).status === 200, 30_000);
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(503);

  const second = start();
  expect(await once(second, 'exit')).toEqual([75, null]);

  first.kill('SIGTERM');
  expect(await once(first, 'exit')).toEqual([0, null]);
}, 60_000);
