import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import pino from 'pino';
import { findBinaries } from './binaries.ts';
import { type PostgresConnection, startPostgres } from './postgres-process.ts';

const logger = pino({ level: 'silent' });
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log('skipped, because this run is not root’s: how PostgreSQL is started by root');
const asRoot = isRoot ? it : it.skip;
let dir: string;

let base: string;
beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'manta-postgres-process-'));
  // initdb takes most of the time: it runs once, and every test gets a copy.
  const server = await startPostgres({ logger }, { dir: join(base, 'template') });
  await server.stop();
});
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});
beforeEach(() => {
  dir = mkdtempSync(join(base, 'test-'));
  execFileSync('cp', ['-a', `${join(base, 'template')}/.`, dir]);
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function query(connection: PostgresConnection, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...connection, database: 'postgres' });
  // A server that is shut down under its sessions says so; the test has its answer by then.
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z');
  } catch {
    return false;
  }
}

describe('startPostgres', () => {
  it('makes a cluster that keeps its contents over a stop, syncs, checksums, and hears no network', async () => {
    const first = await startPostgres({ logger }, { dir });
    await query(first.connection, 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)');
    await first.stop();
    expect(await first.exited).toEqual({ code: 0, signal: null });

    const second = await startPostgres({ logger }, { dir });
    try {
      expect(await query(second.connection, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
      const names = ['fsync', 'synchronous_commit', 'data_checksums', 'listen_addresses', 'server_encoding'];
      const rows = await query(
        second.connection,
        `SELECT name, setting FROM pg_settings WHERE name IN (${names.map(name => `'${name}'`)}) ORDER BY name`,
      );
      expect(rows.map(row => `${row.name}=${row.setting}`)).toEqual([
        'data_checksums=on',
        'fsync=on',
        'listen_addresses=',
        'server_encoding=UTF8',
        'synchronous_commit=on',
      ]);
    } finally {
      await second.stop();
    }
  });

  it('ends the server that a killed supervisor left behind, and starts on its data', async () => {
    const script = `
      import pino from 'pino';
      import { startPostgres } from '${join(import.meta.dirname, 'postgres-process.ts')}';
      const server = await startPostgres({ logger: pino({ level: 'silent' }) }, { dir: '${dir}' });
      console.log(server.pid);
      process.kill(process.pid, 'SIGKILL');`;
    const orphan = Number(
      execFileSync(
        'sh',
        ['-c', `"${process.execPath}" --input-type=module --no-warnings -e '${script.replaceAll("'", '"')}' || true`],
        {
          encoding: 'utf8',
          cwd: import.meta.dirname,
        },
      ),
    );
    expect(isRunning(orphan)).toBe(true);
    const server = await startPostgres({ logger }, { dir });
    try {
      expect(isRunning(orphan)).toBe(false);
      expect(await query(server.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    } finally {
      await server.stop();
    }
  });

  it('is not fooled by a pid file whose number another process has by now', async () => {
    const first = await startPostgres({ logger }, { dir });
    await first.stop();
    // A process of the user that PostgreSQL runs as: it asks nobody else's.
    const stranger = spawn('sleep', ['60'], isRoot ? { uid: 65_534 } : {});
    const lock = `${stranger.pid}\n${dir}/data\n0\n5432\n\n\n\nready   \n`;
    writeFileSync(join(dir, 'data', 'postmaster.pid'), lock);
    writeFileSync(join(first.connection.host, '.s.PGSQL.5432.lock'), lock);
    writeFileSync(join(first.connection.host, '.s.PGSQL.5432'), '');
    try {
      const second = await startPostgres({ logger }, { dir });
      await second.stop();
      expect(isRunning(stranger.pid as number)).toBe(true);
    } finally {
      stranger.kill();
    }
  });

  it('begins anew after an initdb that was interrupted', async () => {
    const unfinished = join(dir, 'data.unfinished');
    rmSync(join(dir, 'data'), { recursive: true });
    execFileSync('mkdir', ['-p', unfinished]);
    writeFileSync(join(unfinished, 'PG_VERSION'), '18\n');
    const server = await startPostgres({ logger }, { dir });
    await server.stop();
    expect(existsSync(unfinished)).toBe(false);
  });

  it('reports the end of a server that crashes', async () => {
    const server = await startPostgres({ logger }, { dir });
    process.kill(server.pid, 'SIGKILL');
    expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await server.stop();
  });

  it('moves the socket to where its path is short enough', async () => {
    const deep = join(dir, 'd'.repeat(90));
    execFileSync('cp', ['-a', join(base, 'template'), deep]);
    const server = await startPostgres({ logger }, { dir: deep });
    try {
      expect(server.connection.host.startsWith(deep)).toBe(false);
      expect(await query(server.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    } finally {
      await server.stop();
    }
    expect(existsSync(server.connection.host)).toBe(false);
  });

  it('says what PostgreSQL said when it does not start', async () => {
    await expect(startPostgres({ logger }, { dir, settings: { shared_buffers: 'nonsense' } })).rejects.toThrow(
      /shared_buffers/,
    );
  });
});

describe('a server that root starts', () => {
  asRoot('runs as somebody else', async () => {
    chmodSync(base, 0o755);
    const server = await startPostgres({ logger }, { dir });
    expect(statSync(`/proc/${server.pid}`).uid).not.toBe(0);
    await server.stop();
  });

  asRoot('works below directories that nobody else may enter', async () => {
    chmodSync(base, 0o700);
    const server = await startPostgres({ logger }, { dir });
    try {
      expect(await query(server.connection, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    } finally {
      await server.stop();
    }
  });

  asRoot('says what to do where that is impossible', () => {
    chmodSync(base, 0o700);
    const script = `
      import { chooseAccount } from ${JSON.stringify(join(import.meta.dirname, 'account.ts'))};
      try { chooseAccount([${JSON.stringify(dir)}]) } catch (error) { console.log(error.message) }`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--no-warnings', '-e', script], {
      encoding: 'utf8',
      // Neither unshare nor setpriv are found there.
      env: { PATH: dir },
    });
    expect(output).toMatch(/other users may not enter .*run as an ordinary user/);
  });
});

describe('findBinaries', () => {
  it('finds the programs of this platform', () => {
    expect(execFileSync(findBinaries().postgres, ['--version'], { encoding: 'utf8' })).toMatch(/PostgreSQL\) 18/);
  });
});
