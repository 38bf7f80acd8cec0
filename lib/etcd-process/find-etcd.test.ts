import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { ETCD_VERSION, findEtcd } from './find-etcd.ts';

const deps = { logger: pino({ level: 'silent' }) };
let dir: string;
let env: { PATH: string; XDG_CACHE_HOME: string };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-find-etcd-'));
  env = { PATH: join(dir, 'bin'), XDG_CACHE_HOME: join(dir, 'cache') };
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A program made of the shell's own commands. */
function install(name: string, script: string, directory = 'bin'): string {
  mkdirSync(join(dir, directory), { recursive: true });
  const path = join(dir, directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Counts builds in a file, and leaves what `go build` leaves. */
function installGo(): string {
  const log = join(dir, 'go.log');
  install('go', `echo "$1" >> ${log}\nif [ "$1" = build ]; then echo built > etcd; fi`);
  return log;
}

describe('findEtcd', () => {
  it('takes the first on PATH that is recent enough', async () => {
    install('etcd', 'echo "etcd Version: 3.4.27"', 'old');
    install('etcd', 'exit 1', 'broken');
    const recent = install('etcd', 'echo "etcd Version: 3.5.16"', 'recent');
    env.PATH = ['old', 'broken', 'recent'].map(name => join(dir, name)).join(':');
    expect(await findEtcd(deps, env)).toBe(recent);
  });

  it('builds one where there is none, once, also when several look at the same time', async () => {
    const log = installGo();
    const built = join(dir, 'cache', 'manta', `etcd-${ETCD_VERSION}`, 'etcd');
    expect(await Promise.all([findEtcd(deps, env), findEtcd(deps, env), findEtcd(deps, env)])).toEqual([
      built,
      built,
      built,
    ]);
    expect(await findEtcd(deps, env)).toBe(built);
    expect(readFileSync(log, 'utf8')).toBe('get\nbuild\n');
  });

  it('does not wait for a builder that was killed, nor keep what it left unfinished', async () => {
    installGo();
    const cache = join(dir, 'cache', 'manta');
    const left = join(cache, `etcd-${ETCD_VERSION}.unfinished-x`);
    mkdirSync(left, { recursive: true });
    writeFileSync(join(left, 'etcd'), 'half');
    // Above the highest process id of any Linux.
    writeFileSync(join(cache, `etcd-${ETCD_VERSION}.lock`), '4194305');
    expect(readFileSync(await findEtcd(deps, env), 'utf8').slice(0, 10)).toBe('built\n');
    expect(readdirSync(cache)).toEqual([`etcd-${ETCD_VERSION}`]);
  });

  it('says what to do where none can be built, and leaves no lock', async () => {
    await expect(findEtcd(deps, env)).rejects.toMatchObject({ code: 'EtcdMissing', message: /install etcd, or Go/ });
    install('go', 'echo "no route to the modules" >&2; exit 1');
    await expect(findEtcd(deps, env)).rejects.toMatchObject({
      code: 'EtcdMissing',
      message: /no route to the modules/,
    });
    expect(readdirSync(join(dir, 'cache', 'manta'))).toEqual([]);
  });
});
