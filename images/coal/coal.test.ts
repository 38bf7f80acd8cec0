import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
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
import { join } from 'node:path';
import { type RegionFile, readRegionFile } from './region-file.ts';
import { inShell, type Running, run, startCoal } from './testing.ts';

let base: string;
let dir: string;
const started: Running[] = [];

beforeAll(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'manta-coal-')));
  dir = join(base, 'state');
});
afterAll(async () => {
  for (const { child, exited } of started) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await exited;
  }
  rmSync(base, { recursive: true, force: true });
});

async function start(args: readonly string[] = [], where = dir): Promise<Running> {
  const running = await startCoal(where, args);
  started.push(running);
  return running;
}

async function stop(running: Running): Promise<number | NodeJS.Signals> {
  running.child.kill('SIGINT');
  return running.exited;
}

function region(): RegionFile {
  return readRegionFile(dir) as RegionFile;
}

/** Process ids of PostgreSQL servers that work below the state directory. */
function servers(): number[] {
  const listed = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  return listed
    .split('\n')
    .filter(line => line.includes(`-D ${dir}/postgres/data`))
    .map(line => Number.parseInt(line, 10));
}

async function isPinged(url: string): Promise<boolean> {
  return fetch(`${url}/ping`).then(
    response => response.ok,
    () => false,
  );
}

/** The tests of this block are one life of a region, in order. */
describe('a region on one machine', () => {
  let running: Running;
  let url: string;

  beforeAll(async () => {
    running = await start();
    url = /endpoint +(\S+)/.exec(running.output())?.[1] ?? '';
  }, 60_000);

  it('says what it does while it starts, and then endpoint, account, key and commands to try', () => {
    expect(running.output()).toMatch(/database \.+ [\d.]+ s\n.*schemas \.+ [\d.]+ s\n/);
    expect(running.output()).toMatch(/account +admin\n +key +(\w\w:){15}\w\w \(\S+keys\/id_rsa\)/);
    expect(running.output()).toContain(`. ${dir}/env`);
  });

  it('keeps secrets from other users', () => {
    const modes = ['region.json', 'env', 'keys', 'keys/id_rsa', 'keys/region', 'logs', 'storage', 'agent'].map(
      name => statSync(join(dir, name)).mode & 0o077,
    );
    expect(modes).toEqual(modes.map(() => 0));
    expect(region()).toMatchObject({ processId: running.child.pid, ports: { public: Number(new URL(url).port) } });
  });

  it('serves the unmodified command line, from a home without .ssh', async () => {
    const text = `
      mmkdir -p ~~/stor/a/b; mmkdir -p ~~/stor/a/b
      printf hello > small; : > empty
      mput -f small ~~/stor/a/small; mput -f empty ~~/stor/a/empty; printf piped | mput ~~/stor/a/piped
      mls ~~/stor/a
      mget -q ~~/stor/a/small; mget -q ~~/stor/a/piped; mget -q ~~/stor/a/empty; echo
      mrm ~~/stor/a/empty; mls ~~/stor/a`;
    expect(await inShell(dir, text)).toBe('b/\nempty\npiped\nsmall\nhellopiped\nb/\npiped\nsmall\n');
    expect(existsSync(join(base, 'home', '.ssh'))).toBe(false);
  }, 60_000);

  it('stores two copies of an object on different nodes', () => {
    const files = readdirSync(join(dir, 'storage'), { recursive: true, withFileTypes: true });
    const objects = files.filter(file => file.isFile() && file.name !== 'identity.json');
    expect(objects.map(file => file.name).sort()).toHaveLength(4);
    expect(new Set(objects.map(file => file.name)).size).toBe(2);
  });

  it('makes accounts whose own keys work', async () => {
    const home = join(base, 'alice');
    execFileSync('mkdir', ['-p', join(home, '.ssh')]);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, '.ssh', 'id_ed25519')]);
    const made = run('cli.ts', [
      'account',
      'create',
      'alice',
      '--dir',
      dir,
      '--key',
      join(home, '.ssh/id_ed25519.pub'),
    ]);
    expect([await made.exited, made.output()]).toEqual([0, expect.stringContaining('account alice created')]);
    const variables = /export .*/.exec(made.output())?.[0];
    const text = `${variables}; echo mine | mput ~~/stor/mine; mget -q ~~/stor/mine`;
    expect(await inShell(dir, text, home)).toBe('mine\n');

    const again = run('cli.ts', ['account', 'create', 'alice', '--dir', dir, '--key', join(dir, 'keys/id_rsa.pub')]);
    expect([await again.exited, again.output()]).toEqual([1, expect.stringContaining('account alice exists')]);
    const list = run('cli.ts', ['account', 'list', '--dir', dir]);
    expect([await list.exited, list.output()]).toEqual([0, expect.stringMatching(/admin .* operators\nalice /)]);
  }, 60_000);

  it('has its directory for itself', async () => {
    const second = run('main.ts', ['--dir', dir, '--port', '0']);
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`process ${running.child.pid} runs a region on ${dir}`);
    expect(await isPinged(url)).toBe(true);
  });

  it('stops on Ctrl-C with exit code 0, even when npm hands it on a second time, and leaves no process', async () => {
    running.child.kill('SIGINT');
    running.child.kill('SIGINT');
    expect(await running.exited).toBe(0);
    expect(running.output()).toMatch(/Stopped\.\n$/);
    expect(servers()).toEqual([]);
    expect(region().processId).toBeUndefined();
    const list = run('cli.ts', ['account', 'list', '--dir', dir]);
    expect([await list.exited, list.output()]).toEqual([1, expect.stringContaining('start it with npm start')]);
  });

  it('goes on with the same data, ports and key', async () => {
    const before = region().ports;
    running = await start();
    expect(await inShell(dir, 'mget -q ~~/stor/a/small; mls ~~/stor/a')).toBe('hellob/\npiped\nsmall\n');
    expect(region().ports).toMatchObject({ internal: before.internal, storage: before.storage });
  }, 60_000);

  it('survives kill -9: nothing stored is lost, and no database is left behind', async () => {
    await inShell(dir, 'echo kept | mput ~~/stor/kept');
    const [orphan] = servers();
    running.child.kill('SIGKILL');
    expect(await running.exited).toBe('SIGKILL');
    expect(servers()).toEqual([orphan]);
    running = await start();
    expect(servers()).toHaveLength(1);
    expect(servers()).not.toEqual([orphan]);
    expect(await inShell(dir, 'mget -q ~~/stor/kept')).toBe('kept\n');
  }, 60_000);

  it('takes the key it is given, and then needs no agent', async () => {
    await stop(running);
    const home = join(base, 'owner');
    execFileSync('mkdir', ['-p', join(home, '.ssh')]);
    execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-m', 'PEM', '-N', '', '-f', join(home, '.ssh', 'id_ecdsa')]);
    running = await start(['--key', join(home, '.ssh', 'id_ecdsa.pub')]);
    expect(readFileSync(join(dir, 'env'), 'utf8')).not.toContain('SSH_AUTH_SOCK');
    expect(await inShell(dir, 'mget -q ~~/stor/kept', home)).toBe('kept\n');
  }, 60_000);

  it('stops loudly when its database ends', async () => {
    process.kill(servers()[0] as number, 'SIGKILL');
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain('the database ended by itself');
  }, 60_000);
});

describe('a region that cannot start', () => {
  it('names the port that is busy, and the option', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const address = blocker.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const running = run('main.ts', ['--dir', join(base, 'busy'), '--port', String(port)]);
    expect(await running.exited).toBe(1);
    expect(running.output()).toContain(`port ${port} is in use: choose another one with --port`);
    blocker.close();
  });

  it.each([
    [['--prot', '1'], 2, /Unknown option '--prot'[\s\S]*--port <number>/],
    [['--port', 'x'], 2, /--port must be a number/],
    [['--key', '/nowhere.pub'], 1, /nowhere.pub cannot be used as a public key/],
  ])('says what is wrong with %s', async (args, code, message) => {
    const running = run('main.ts', ['--dir', join(base, 'wrong'), ...args]);
    expect([await running.exited, running.output()]).toEqual([code, expect.stringMatching(message)]);
  });

  it('leaves a directory alone that holds another region’s file', async () => {
    const foreign = mkdtempSync(join(base, 'foreign-'));
    writeFileSync(join(foreign, 'region.json'), '{"layout": 99}');
    const running = run('main.ts', ['--dir', foreign]);
    expect([await running.exited, running.output()]).toEqual([
      1,
      expect.stringContaining('not a region of this release'),
    ]);
    expect(readFileSync(join(foreign, 'region.json'), 'utf8')).toBe('{"layout": 99}');
  });
});

describe('a region that starts', () => {
  it('can be stopped in the middle, with exit code 0 and nothing left running', async () => {
    const running = run('main.ts', ['--dir', dir, '--port', '0']);
    started.push(running);
    await running.printed('schemas');
    expect(await stop(running)).toBe(0);
    expect(servers()).toEqual([]);
  });
});
