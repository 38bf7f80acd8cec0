import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Insides, inconsistencies, volumeOf } from './consistency.ts';
import { createMantaClient, type MantaClient, readIdentity } from './manta-client.ts';

const ROOT = resolve(import.meta.dirname, '..');
const START_WITHIN_MS = 60_000;

/** A region running as a process of its own, as `npm start` runs it. */
export interface Region {
  readonly url: string;
  readonly dir: string;
  readonly pid: number;
  readonly client: MantaClient;
  /** Database connections of the region's owner, opened once, closed when the region ends. */
  open(): Promise<Insides>;
  /** What `inconsistencies` finds. */
  inconsistencies(): Promise<string[]>;
  /** Files of the object of that name, wherever it lies in the namespace; the name must be unique. */
  filesOf(name: string): Promise<string[]>;
  /** A shell command line with the CLI of the `manta` package on PATH and `env` sourced; rejects unless it exits with 0. */
  cli(command: string): Promise<string>;
  /** SIGKILL of the process, not of its PostgreSQL. */
  kill(): Promise<void>;
  /** SIGINT; resolves with what was wrong with the exit. */
  stop(): Promise<string[]>;
}

/** Starts a region on `dir` and waits until it answers; on failure the error carries what it printed. */
export async function startRegion({
  dir,
  port,
  options = [],
  withinMs = START_WITHIN_MS,
}: {
  dir: string;
  port: number;
  /** Further ones of its command line. */
  options?: readonly string[];
  withinMs?: number;
}): Promise<Region> {
  const args = ['launch.sh', 'images/coal/main.ts', '--dir', dir, '--port', String(port), ...options];
  const child = spawn('sh', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', chunk => {
    output += chunk;
  });
  child.stderr.on('data', chunk => {
    output += chunk;
  });
  const ended = new Promise<number | null>(ends => child.once('exit', ends));
  const url = `http://127.0.0.1:${port}`;
  await waitForPing(url, child, () => output, withinMs);
  return connectRegion({ dir, url, child, ended });
}

function connectRegion({
  dir,
  url,
  child,
  ended,
}: {
  dir: string;
  url: string;
  child: ChildProcess;
  ended: Promise<number | null>;
}): Region {
  const env = readEnvFile(join(dir, 'env'));
  const identity = readIdentity(
    env.MANTA_USER ?? '',
    env.MANTA_KEY_ID ?? '',
    readFileSync(join(dir, 'keys', 'id_rsa'), 'utf8'),
  );
  const client = createMantaClient(url, identity);
  let insides: Promise<Insides> | undefined;

  const open = () => {
    insides ??= openInsides(dir);
    return insides;
  };
  const end = async (signal: NodeJS.Signals) => {
    client.close();
    const opened = await insides?.catch(() => undefined);
    insides = undefined;
    child.kill(signal);
    const code = await ended;
    await Promise.all(
      [...(opened?.index ?? []), ...(opened ? [opened.control] : [])].map(shard => shard.end().catch(() => {})),
    );
    return code;
  };
  return {
    url,
    dir,
    pid: child.pid as number,
    client,
    open,
    inconsistencies: async () => inconsistencies(await open()),
    filesOf: async name => filesOf(await open(), name),
    cli: command => runCli(dir, command),
    kill: async () => {
      await end('SIGKILL');
    },
    stop: async () => {
      const code = await end('SIGINT');
      return code === 0 ? [] : [`the region exited with ${code ?? 'a signal'} after SIGINT`];
    },
  };
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((found, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => found(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function waitForPing(url: string, child: ChildProcess, output: () => string, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`the region exited with ${child.exitCode}:\n${output()}`);
    const ok = await fetch(`${url}/ping`).then(
      response => response.ok,
      () => false,
    );
    if (ok) return;
    await sleep(50);
  }
  child.kill('SIGKILL');
  throw new Error(`the region did not answer within ${withinMs / 1000} s:\n${output()}`);
}

/** Connects as the database superuser: the harness looks where no program may. */
async function openInsides(dir: string): Promise<Insides> {
  const region = JSON.parse(readFileSync(join(dir, 'region.json'), 'utf8')) as {
    postgres: { host: string; port: number };
  };
  const password = readFileSync(join(dir, 'postgres', 'superuser-password'), 'utf8').trim();
  const connect = async (database: string) => {
    const client = new pg.Client({ ...region.postgres, user: 'postgres', password, database });
    // The region is killed on purpose while these connections are open.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const [control, ...index] = await Promise.all(['control', 'index_1', 'index_2'].map(connect));
  if (control === undefined) throw new Error('no control database');
  return { control, index, dir };
}

async function filesOf(insides: Insides, name: string): Promise<string[]> {
  const nodes = await insides.control.query<{ node_no: number; storage_id: string }>(
    'SELECT node_no, storage_id FROM storage_node',
  );
  const found = await Promise.all(
    insides.index.map(shard =>
      shard.query<{ creator: string; object_id: string; copies: number[] }>(
        `SELECT creator, object_id, copies FROM entry WHERE name = $1 AND kind = 'o'`,
        [name],
      ),
    ),
  );
  return found.flatMap(({ rows }) =>
    rows.flatMap(row =>
      row.copies.map(copy => {
        const storageId = nodes.rows.find(node => node.node_no === copy)?.storage_id ?? '';
        return join(volumeOf(insides.dir, storageId), row.creator, row.object_id);
      }),
    ),
  );
}

function runCli(dir: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', `set -e; . '${join(dir, 'env')}'; ${command}`], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', chunk => {
      output += chunk;
    });
    child.stderr.on('data', chunk => {
      errors += chunk;
    });
    child.once('error', reject);
    child.once('close', code => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} exited with ${code}: ${errors}`));
    });
  });
}

function readEnvFile(path: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [, name = '', value = ''] of readFileSync(path, 'utf8').matchAll(/^export (\w+)='?([^'\n]*)'?$/gm))
    values[name] = value;
  return values;
}
