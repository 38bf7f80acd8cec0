import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { ETCD, findEtcd } from './find-etcd.ts';

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

describe('findEtcd', () => {
  it('takes the first on PATH that is recent enough', async () => {
    install('etcd', 'echo "etcd Version: 3.4.27"', 'old');
    install('etcd', 'exit 1', 'broken');
    const recent = install('etcd', 'echo "etcd Version: 3.5.16"', 'recent');
    env.PATH = ['old', 'broken', 'recent'].map(name => join(dir, name)).join(':');
    expect(await findEtcd(deps, env)).toBe(recent);
  });

  it('takes the one that was built earlier', async () => {
    const built = install('etcd', 'exit 1', `cache/manta/etcd-${ETCD.version}`);
    expect(await findEtcd(deps, env)).toBe(built);
  });

  it('says what to do where none can be built', async () => {
    await expect(findEtcd(deps, env)).rejects.toMatchObject({ code: 'EtcdMissing', message: /install etcd, or Go/ });
    install('go', 'echo "no route to the modules" >&2; exit 1');
    await expect(findEtcd(deps, env)).rejects.toMatchObject({
      code: 'EtcdMissing',
      message: /no route to the modules/,
    });
  });
});
