import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalPeer } from '../../images/postgres/local/local-shard.ts';
import type { Round, Scenario } from './scenario.ts';

/** F13, F22, F31: lag, doubles, and settings that somebody changed by hand. */
export const damageScenarios: readonly Scenario[] = [
  {
    row: 'F13',
    name: 'the sync has 256 MiB to replay, then the primary dies',
    generations: 1,
    times: 1,
    seconds: 60,
    round: laggingReplay,
  },
  {
    row: 'F22',
    name: 'a second sitter with the same id, and one on the same volume',
    generations: 0,
    times: 1,
    seconds: 20,
    round: doubles,
  },
  {
    row: 'F31',
    name: 'ALTER SYSTEM empties synchronous_standby_names on the primary',
    times: 2,
    seconds: 20,
    unavailable: async rig => {
      const { primary } = await rig.roles();
      const version = Number((await rig.query(primary, 'SHOW server_version_num'))[0]?.[0]);
      return version >= 170_000 ? 'this PostgreSQL refuses ALTER SYSTEM' : undefined;
    },
    round: emptiedStandbyNames,
  },
  {
    row: 'F14',
    name: 'wall clock ± 1 h',
    times: 1,
    seconds: 1,
    unavailable: async () => 'the clock of this machine is shared with whatever else runs on it',
    round: async () => {},
  },
];

const REPLAY_MS = 60_000;

async function laggingReplay({ rig, problem }: Round): Promise<void> {
  const { primary, sync, state } = await rig.roles();
  await rig.query(sync, 'SELECT pg_wal_replay_pause()', 'postgres');
  const bulk = `SET ROLE manta_owner; CREATE TABLE bulk AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 280000) n`;
  await rig.query(primary, bulk);
  const lag = `SELECT pg_current_wal_flush_lsn() - replay_lsn FROM pg_stat_replication WHERE application_name = '${sync.id}'`;
  const behind = Number((await rig.query(primary, lag, 'postgres'))[0]?.[0] ?? 0);
  if (behind < 256 << 20) problem(`the sync is only ${behind} bytes behind`);
  primary.killPostmaster();
  // Right after a death everything still looks well.
  await rig.stateWhen(({ generation }) => generation > state.generation, REPLAY_MS, 'new pair');
  await rig.shard.waitUntilHealthy();
  await rig.query((await rig.roles()).primary, 'DROP TABLE bulk');
}

/** H13: one id counts once, and so does one volume. */
async function doubles({ rig, problem }: Round): Promise<void> {
  const { sync } = await rig.roles();
  const sessionOf = async () => (await rig.shard.client.read()).peers[sync.id]?.value.session;
  const session = await sessionOf();
  const home = join(sync.dir, '..', `double-${process.pid}`);
  mkdirSync(join(home, 'data', 'sitter'), { recursive: true });
  const config = JSON.parse(readFileSync(join(sync.dir, 'config.json'), 'utf8')) as Record<
    string,
    Record<string, unknown>
  >;
  const own = {
    ...config,
    dataDir: join(home, 'data'),
    runDir: join(home, 'run'),
    sitter: { ...config.sitter, port: 0 },
  };
  writeFileSync(join(home, 'config.json'), JSON.stringify(own));
  const sameId = startDouble(sync, join(home, 'data', 'sitter', 'lock'), join(home, 'config.json'), rig);
  const sameVolume = startDouble(sync, join(sync.dir, 'data', 'sitter', 'lock'), join(sync.dir, 'config.json'), rig);
  const ended = await Promise.race([sameVolume.ended, sleep(5_000, 'runs')]);
  if (ended === 'runs') problem('a second process started on a volume that is in use');
  await sleep(6_000);
  if ((await sessionOf()) !== session) problem('a second process with the same id registered');
  sameId.kill();
  sameVolume.kill();
}

function startDouble(peer: LocalPeer, lock: string, config: string, rig: Round['rig']) {
  const main = join(import.meta.dirname, '..', '..', 'images', 'postgres', 'main.ts');
  const prefix = rig.shard.network?.command(peer.host) ?? [];
  const command = [...prefix, 'flock', '--nonblock', '--no-fork', lock, process.execPath, main, '--config', config];
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: 'ignore' });
  return {
    ended: new Promise(resolve => child.once('exit', code => resolve(code))),
    kill: () => child.kill('SIGKILL'),
  };
}

async function emptiedStandbyNames({ rig, problem }: Round): Promise<void> {
  const { primary } = await rig.roles();
  const since = performance.now();
  await rig.query(primary, `ALTER SYSTEM SET synchronous_standby_names = ''`, 'postgres');
  await rig.query(primary, 'SELECT pg_reload_conf()', 'postgres');
  const named = async () =>
    (await rig.query(primary, 'SHOW synchronous_standby_names', 'postgres').catch(() => [['gone']]))[0]?.[0];
  while ((await named()) === '') {
    const clients = `SELECT count(*) FROM pg_hba_file_rules WHERE 'manta_migrate' = ANY (user_name)`;
    const open = (await rig.query(primary, clients, 'postgres').catch(() => [['0']]))[0]?.[0];
    if (open === '0') break;
    if (performance.now() - since > 10_000) {
      problem('the gate stayed open for 10 s without a synchronous standby');
      break;
    }
    await sleep(100);
  }
}
