import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { eventually } from '../eventually/eventually.ts';
import { type EtcdCluster, type EtcdClusterConfig, startEtcdCluster } from './etcd-cluster.ts';
import type { EtcdMember } from './etcd-member.ts';
import { findEtcd } from './find-etcd.ts';

const deps = { logger: pino({ level: 'silent' }) };
let dir: string;
let cluster: EtcdCluster | undefined;

beforeAll(() => findEtcd(deps), 600_000);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'manta-etcd-process-'));
});
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function one(config: Partial<EtcdClusterConfig> = {}): Promise<EtcdMember> {
  cluster = await startEtcdCluster(deps, { members: 1, dir, unsafeNoFsync: true, ...config });
  return cluster.members[0] as EtcdMember;
}

async function ask(member: EtcdMember, path: string, body: object): Promise<{ kvs?: { value: string }[] }> {
  const signal = AbortSignal.timeout(500);
  const response = await fetch(`${member.endpoint}/v3/kv/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal,
  });
  return (await response.json()) as { kvs?: { value: string }[] };
}

const key = Buffer.from('key').toString('base64');
const put = (member: EtcdMember, value: string) =>
  ask(member, 'put', { key, value: Buffer.from(value).toString('base64') });
const get = async (member: EtcdMember) =>
  Buffer.from((await ask(member, 'range', { key })).kvs?.[0]?.value ?? '', 'base64').toString();

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z');
  } catch {
    return false;
  }
}

describe('startEtcdCluster', () => {
  it('runs a member that keeps its contents over a restart and over a kill', async () => {
    const member = await one();
    await put(member, 'kept');
    await member.restart();
    expect(await get(member)).toBe('kept');
    const pid = member.pid as number;
    await member.kill();
    expect(member.pid).toBeUndefined();
    expect(isRunning(pid)).toBe(false);
    await member.start();
    expect(await get(member)).toBe('kept');
  });

  it('freezes a member, and lets it go on', async () => {
    const member = await one();
    await put(member, '1');
    await member.pause();
    await expect(get(member)).rejects.toThrow();
    member.resume();
    await eventually(async () => (await get(member)) === '1');
    await member.pause();
    await member.kill();
  });

  it('takes a member back to an old copy of its data, and refuses while it runs', async () => {
    const member = await one();
    await put(member, 'old');
    expect(() => member.snapshot(join(dir, 'copy'))).toThrow(expect.objectContaining({ code: 'EtcdRunning' }));
    await member.stop();
    member.snapshot(join(dir, 'copy'));
    await member.start();
    await put(member, 'new');
    expect(() => member.restore(join(dir, 'copy'))).toThrow(expect.objectContaining({ code: 'EtcdRunning' }));
    await member.stop();
    member.restore(join(dir, 'copy'));
    await member.start();
    expect(await get(member)).toBe('old');
  });

  it('runs three members that replace their leader when it dies', async () => {
    cluster = await startEtcdCluster(deps, { members: 3, dir, unsafeNoFsync: true });
    expect(new Set(cluster.endpoints).size).toBe(3);
    let leader: EtcdMember | undefined;
    await eventually(async () => {
      leader = await cluster?.leader();
      return leader !== undefined;
    });
    await leader?.kill();
    await eventually(async () => {
      const next = await cluster?.leader();
      return next !== undefined && next !== leader;
    });
    await leader?.start();
    await cluster.stop();
    expect(cluster.members.map(member => member.pid)).toEqual([undefined, undefined, undefined]);
  });

  it('puts a prefix before the command, and the process id stays the member’s', async () => {
    const member = await one({ commandPrefix: index => ['env', `MEMBER=${index}`] });
    const pid = member.pid as number;
    if (process.platform === 'linux') {
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')).toContain('MEMBER=0');
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toMatch(/^[^\0]*etcd\0/);
    }
  });

  it('says why a member does not start, and leaves nothing running', async () => {
    const failure = startEtcdCluster(deps, { members: 1, dir, args: ['--no-such-flag'] });
    await expect(failure).rejects.toMatchObject({ code: 'EtcdStart', message: /no-such-flag/ });
  });

  it('starts members that end with a process that was killed', async () => {
    if (spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true']).status !== 0) return;
    const script = `
      import pino from 'pino';
      import { startEtcdCluster } from '${join(import.meta.dirname, 'etcd-cluster.ts')}';
      const cluster = await startEtcdCluster({ logger: pino({ level: 'silent' }) }, { members: 1, dir: process.argv[1] });
      console.log(cluster.members[0].pid);
      process.kill(process.pid, 'SIGKILL');`;
    const run = '"$0" --input-type=module --no-warnings -e "$1" "$2" || true';
    const pid = Number(
      execFileSync('sh', ['-c', run, process.execPath, script, dir], {
        encoding: 'utf8',
        cwd: import.meta.dirname,
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    );
    expect(pid).toBeGreaterThan(0);
    await eventually(() => !isRunning(pid));
  });
});
