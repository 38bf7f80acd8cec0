import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { findEtcd } from '../../lib/etcd-process/find-etcd.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import { systemClock } from '../../lib/lifecycle/clock.ts';
import { openShard } from '../postgres/local/open-shard.ts';
import { allProcesses, signalProcess } from '../postgres/local/process-tree.ts';
import { isHealthy } from '../postgres/local/shard-status.ts';
import { findBinaries } from '../postgres/pg/binaries.ts';
import { inShell, type Running, runProgram, startCoal } from './testing.ts';

const deps = { logger: pino({ level: 'silent' }), clock: systemClock };
const SHARD = ['--shard-peers', '3'];
/** Most of it is the first start of three servers; an idle machine needs ten seconds. */
const WITHIN_MS = 150_000;

const missing = await whatIsMissing();
if (missing !== undefined) process.stderr.write(`skipped, regions on a shard: ${missing}\n`);

/** Why no shard can be started on this machine. */
async function whatIsMissing(): Promise<string | undefined> {
  try {
    findBinaries();
    await findEtcd(deps);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const base = realpathSync(mkdtempSync(join(tmpdir(), 'manta-coal-shard-')));
chmodSync(base, 0o755);
const dir = join(base, 'state');
let current: Running | undefined;

afterAll(async () => {
  current?.child.kill('SIGINT');
  await current?.exited;
  rmSync(base, { recursive: true, force: true });
});

/** Puts an object by the real command, which tries again what is answered with 503, and gets it back. */
async function putAndGet(name: string): Promise<string> {
  const file = join(base, name);
  writeFileSync(file, `body of ${name}\n`);
  return inShell(dir, `mput -qf ${file} ~~/stor/${name}; mget -q ~~/stor/${name}`);
}

/** Processes whose command line names a directory: sitters, servers, etcd and what they were started through. */
const processesOn = (place: string) => allProcesses().filter(({ command }) => command.includes(`${place}/shard/`));

async function onShard<T>(body: (shard: Awaited<ReturnType<typeof openShard>>) => Promise<T>): Promise<T> {
  const shard = await openShard(deps, join(dir, 'shard'));
  try {
    await eventually(async () => isHealthy(await shard.status()) === undefined, 60_000);
    return await body(shard);
  } finally {
    await shard.close();
  }
}

(missing === undefined ? describe : describe.skip)('a region on a shard', () => {
  it(
    'stores, also after its primary was killed and after a switchover',
    async () => {
      current = await startCoal(dir, SHARD);
      expect(current.output()).toMatch(/shard \.+ \n {4}… etcd\n[\s\S]*\n {2}shard \.+ [\d.]+ s\n/);
      expect(current.output()).toContain(`npm run shard -- status --dir ${dir}/shard\n`);
      expect(await putAndGet('first')).toBe('body of first\n');

      await onShard(async shard => {
        const primary = (await shard.client.read()).state?.value.primary.id ?? '';
        expect(signalProcess(shard.parts(primary).postmaster ?? 0, 'SIGKILL')).toBe(true);
      });
      expect(await putAndGet('second')).toBe('body of second\n');

      await onShard(async shard => {
        expect(await shard.client.request('switchover')).toMatchObject({ outcome: 'Done' });
      });
      expect(await putAndGet('third')).toBe('body of third\n');
      await onShard(async shard => {
        const causes = (await shard.client.history()).map(({ state }) => state.cause);
        expect(causes).toEqual(expect.arrayContaining(['takeover', 'switchover']));
      });
    },
    WITHIN_MS,
  );

  it(
    'leaves no process behind when it is killed, goes on afterwards, and ends in order on Ctrl-C',
    async () => {
      const running = current ?? (await startCoal(dir, SHARD));
      const before = await putAndGet('kept');
      running.child.kill('SIGKILL');
      expect(await running.exited).toBe('SIGKILL');
      current = undefined;
      await eventually(() => processesOn(dir).length === 0, 5_000);

      const other = runProgram('main.ts', ['--dir', dir, '--port', '0']);
      expect([await other.exited, other.output()]).toEqual([1, expect.stringContaining('with --shard-peers 3')]);

      current = await startCoal(dir, SHARD);
      expect(await inShell(dir, 'mget -q ~~/stor/kept')).toBe(before);
      current.child.kill('SIGINT');
      expect(await current.exited).toBe(0);
      expect(current.output()).toMatch(/Stopped\.\n$/);
      expect(processesOn(dir)).toEqual([]);
      current = undefined;
    },
    WITHIN_MS,
  );

  it('can be stopped in the middle of its start', async () => {
    const place = join(base, 'other');
    current = runProgram('main.ts', ['--dir', place, '--port', '0', ...SHARD]);
    await current.printed('the shard is being set up');
    current.child.kill('SIGINT');
    expect(await current.exited).toBe(0);
    current = undefined;
    expect(processesOn(place)).toEqual([]);
  }, 60_000);
});
