import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { jest } from '@jest/globals';
import { type RegionFile, readRegionFile } from './region-file.ts';
import { inShell, type Running, runProgram, startCoal } from './testing.ts';

jest.setTimeout(60_000);

let base: string;
let dir: string;
/** The region of these tests while it runs. Tests that end it leave it to the next one to start it again. */
let current: Running | undefined;

beforeAll(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'manta-coal-')));
  dir = join(base, 'state');
});
afterAll(async () => {
  await stop();
  rmSync(base, { recursive: true, force: true });
});

async function ready(args: readonly string[] = []): Promise<Running> {
  current ??= await startCoal(dir, args);
  return current;
}

async function stop(): Promise<number | NodeJS.Signals | undefined> {
  const running = current;
  current = undefined;
  running?.child.kill('SIGINT');
  return running?.exited;
}

function region(): RegionFile {
  return readRegionFile(dir) as RegionFile;
}

/** Process ids of PostgreSQL servers on the state directory; a child has its server's arguments until it has a title. */
function servers(): number[] {
  const listed = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter(line => line.includes(`-D ${dir}/postgres/data`))
    .map(line => line.trim().split(/ +/).map(Number));
  const all = new Set(listed.map(([pid]) => pid));
  return listed.filter(([, parent]) => !all.has(parent)).map(([pid = 0]) => pid);
}

function makeKey(home: string, ...type: string[]): string {
  const file = join(base, home, '.ssh', 'id');
  mkdirSync(dirname(file), { recursive: true });
  execFileSync('ssh-keygen', ['-q', '-N', '', '-f', file, ...type]);
  return `${file}.pub`;
}

describe('a region on one machine', () => {
  it('says what it does while it starts, and then endpoint, account, key and commands to try', async () => {
    const running = await ready();
    expect(running.output()).toMatch(/database \.+ [\d.]+ s\n.*schemas \.+ [\d.]+ s\n/);
    expect(running.output()).toMatch(/account +admin\n +key +(\w\w:){15}\w\w \(\S+keys\/id_rsa\)/);
    expect(running.output()).toContain(`. ${dir}/env`);
    const { processId, ports } = region();
    expect(processId).toBe(running.child.pid);
    expect(running.output()).toContain(`endpoint   http://127.0.0.1:${ports.public}\n`);
  });

  it('keeps secrets from other users', async () => {
    await ready();
    const modes = ['region.json', 'env', 'keys', 'keys/id_rsa', 'keys/region', 'logs', 'storage', 'agent'].map(
      name => statSync(join(dir, name)).mode & 0o077,
    );
    expect(modes).toEqual(modes.map(() => 0));
  });

  it('serves the unmodified command line, from a home without .ssh', async () => {
    await ready();
    const text = `
      mmkdir -p ~~/stor/a/b; mmkdir -p ~~/stor/a/b
      printf hello > small; : > empty
      mput -f small ~~/stor/a/small; mput -f empty ~~/stor/a/empty; printf piped | mput ~~/stor/a/piped
      mls ~~/stor/a
      mget -q ~~/stor/a/small; mget -q ~~/stor/a/piped; mget -q ~~/stor/a/empty; echo
      mrm ~~/stor/a/empty; mls ~~/stor/a`;
    expect(await inShell(dir, text)).toBe('b/\nempty\npiped\nsmall\nhellopiped\nb/\npiped\nsmall\n');
    expect(existsSync(join(base, 'home', '.ssh'))).toBe(false);
  });

  it('stores two copies of an object on different nodes', async () => {
    await ready();
    const body = `copies ${Math.random()}`;
    await inShell(dir, `printf '${body}' | mput ~~/stor/copies`);
    const files = readdirSync(join(dir, 'storage'), { recursive: true, withFileTypes: true });
    const copies = files.filter(
      file => file.isFile() && readFileSync(join(file.parentPath, file.name), 'utf8') === body,
    );
    expect(copies).toHaveLength(2);
    expect(copies[0]?.name).toBe(copies[1]?.name);
  });

  it('makes accounts whose own keys work', async () => {
    await ready();
    const key = makeKey('alice', '-t', 'ed25519');
    const made = runProgram('cli.ts', ['account', 'create', 'alice', '--dir', dir, '--key', key]);
    expect([await made.exited, made.output()]).toEqual([0, expect.stringContaining('account alice created')]);
    const variables = /export .*/.exec(made.output())?.[0];
    const text = `${variables}; echo mine | mput ~~/stor/mine; mget -q ~~/stor/mine`;
    expect(await inShell(dir, text, join(base, 'alice'))).toBe('mine\n');

    const again = runProgram('cli.ts', ['account', 'create', 'alice', '--dir', dir, '--key', key]);
    expect([await again.exited, again.output()]).toEqual([1, expect.stringContaining('account alice exists')]);
    const list = runProgram('cli.ts', ['account', 'list', '--dir', dir]);
    expect([await list.exited, list.output()]).toEqual([0, expect.stringMatching(/admin .* operators\nalice /)]);
  });

  it('has its directory for itself', async () => {
    const { child } = await ready();
    const second = runProgram('main.ts', ['--dir', dir, '--port', '0']);
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`process ${child.pid} runs a region on ${dir}`);
  });

  it('stops on Ctrl-C with exit code 0, even when npm hands it on a second time, and leaves no process', async () => {
    const running = await ready();
    running.child.kill('SIGINT');
    expect(await stop()).toBe(0);
    expect(running.output()).toMatch(/Stopped\.\n$/);
    expect(servers()).toEqual([]);
    expect(region().processId).toBeUndefined();
    const list = runProgram('cli.ts', ['account', 'list', '--dir', dir]);
    expect([await list.exited, list.output()]).toEqual([1, expect.stringContaining('start it with npm start')]);
  });

  it('goes on after a stop with the same data, ports and key', async () => {
    await ready();
    await inShell(dir, 'echo lasting | mput ~~/stor/lasting');
    const before = region().ports;
    await stop();
    await ready();
    expect(await inShell(dir, 'mget -q ~~/stor/lasting')).toBe('lasting\n');
    expect(region().ports).toMatchObject({ internal: before.internal, storage: before.storage });
  });

  it('survives kill -9: nothing stored is lost, and no database is left behind', async () => {
    const running = await ready();
    await inShell(dir, 'echo kept | mput ~~/stor/kept');
    const [orphan] = servers();
    current = undefined;
    running.child.kill('SIGKILL');
    expect(await running.exited).toBe('SIGKILL');
    expect(servers()).toEqual([orphan]);
    await ready();
    expect(servers()).toHaveLength(1);
    expect(servers()).not.toEqual([orphan]);
    expect(await inShell(dir, 'mget -q ~~/stor/kept')).toBe('kept\n');
  });

  it('takes the key it is given, and then needs no agent', async () => {
    await stop();
    const key = makeKey('owner', '-t', 'ecdsa', '-m', 'PEM');
    await ready(['--key', key]);
    expect(readFileSync(join(dir, 'env'), 'utf8')).not.toContain('SSH_AUTH_SOCK');
    expect(await inShell(dir, 'echo own | mput ~~/stor/own; mget -q ~~/stor/own', join(base, 'owner'))).toBe('own\n');
    await stop();
  });

  it('stops loudly when its database ends', async () => {
    const running = await ready();
    current = undefined;
    process.kill(servers()[0] as number, 'SIGKILL');
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain('the database ended by itself');
  });

  it('can be stopped in the middle of its start, with exit code 0 and nothing left running', async () => {
    await stop();
    current = runProgram('main.ts', ['--dir', dir, '--port', '0']);
    await current.printed('schemas');
    expect(await stop()).toBe(0);
    expect(servers()).toEqual([]);
  });
});

describe('a region that cannot start', () => {
  it('names the port that is busy, and the option', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const address = blocker.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const running = runProgram('main.ts', ['--dir', join(base, 'busy'), '--port', String(port)]);
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain(`port ${port} is in use: choose another one with --port`);
    blocker.close();
  });

  it.each([
    [['--prot', '1'], 2, /Unknown option '--prot'[\s\S]*--port <number>/],
    [['--port', 'x'], 2, /--port must be a number/],
    [['--shard-peers', '2'], 2, /--shard-peers must be 1, 3 or 5/],
    [['--dir', ''], 2, /--dir is empty/],
    [['--dir', '/dev/null/x'], 1, /^Error: cannot use \/dev\/null\/x: .*choose another directory with --dir\n$/],
    [['--key', '/nowhere.pub'], 1, /nowhere.pub cannot be used as a public key/],
  ])('says what is wrong with %s', async (args, code, message) => {
    const running = runProgram('main.ts', ['--dir', join(base, 'wrong'), ...args]);
    expect([await running.exited, running.output()]).toEqual([code, expect.stringMatching(message)]);
  });

  it('leaves a directory alone that holds other things', async () => {
    const home = mkdtempSync(join(base, 'home-'));
    writeFileSync(join(home, 'thesis.doc'), '');
    const running = runProgram('main.ts', ['--dir', home]);
    expect([await running.exited, running.output()]).toEqual([1, expect.stringContaining('it holds thesis.doc')]);
    expect(readdirSync(home)).toEqual(['thesis.doc']);
  });

  it('leaves a directory alone that holds another region’s file', async () => {
    const foreign = mkdtempSync(join(base, 'foreign-'));
    writeFileSync(join(foreign, 'region.json'), '{"layout": 99}');
    const running = runProgram('main.ts', ['--dir', foreign]);
    expect([await running.exited, running.output()]).toEqual([
      1,
      expect.stringContaining('not a region of this release'),
    ]);
    expect(readFileSync(join(foreign, 'region.json'), 'utf8')).toBe('{"layout": 99}');
  });
});
