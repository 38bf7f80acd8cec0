import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalPeer } from '../../images/postgres/local/local-shard.ts';
import type { Network } from '../../images/postgres/local/network.ts';
import { eventually } from '../../lib/eventually/eventually.ts';
import type { Rig } from './rig.ts';
import type { Round, Scenario } from './scenario.ts';

const common = { needsNetwork: true, times: 3 } as const;

/** F4, F6 to F9, F11, F25: packets that do not arrive. */
export const partitionScenarios: readonly Scenario[] = [
  ...vanishings(),
  ...etcdCuts(),
  ...pairCuts(),
  {
    ...common,
    row: 'F8',
    name: 'primary cut from everything for 10 s',
    goal: 'T3',
    generations: 1,
    seconds: 25,
    round: isolatedPrimary,
  },
  {
    ...common,
    row: 'F9',
    name: 'the partition moves: primary alone, then its successor alone',
    generations: [1, 3],
    seconds: 40,
    round: movingPartition,
  },
  {
    ...common,
    row: 'F11',
    name: 'bursts of loss between primary, sync and etcd for 15 s',
    generations: 0,
    times: 1,
    seconds: 30,
    round: lossyLinks,
  },
  {
    ...common,
    row: 'F34',
    name: "the primary's address leads to another peer",
    goal: 'T2',
    generations: 1,
    seconds: 15,
    round: foreignAddress,
  },
  {
    ...common,
    row: 'F25',
    name: "etcd's replies to the sync are lost during a takeover",
    generations: [1, 2],
    times: 10,
    seconds: 15,
    round: lostReplies,
  },
];

const networkOf = (rig: Rig): Network => {
  if (rig.shard.network === undefined) throw new Error('there is no network');
  return rig.shard.network;
};
const etcdHosts = (rig: Rig) => rig.shard.etcd.members.map((_, index) => `etcd${index}`);

/** F4: power is gone. Packets vanish first, so that no dying process says goodbye. */
function vanishings(): Scenario[] {
  const vanish =
    (place: 'primary' | 'sync', withLeader: boolean) =>
    async ({ rig, loader, measured }: Round) => {
      const network = networkOf(rig);
      const { [place]: peer } = await rig.roles();
      const leader = withLeader ? await rig.shard.etcd.leader() : undefined;
      await Promise.all([
        network.isolate(peer.host),
        ...(leader === undefined ? [] : [network.isolate(`etcd${rig.shard.etcd.members.indexOf(leader)}`)]),
      ]);
      await Promise.all([peer.killTree({ stayDown: true }), leader?.kill()]);
      await loader.acknowledged(60_000);
      measured();
      await network.healAll();
      await leader?.start();
      peer.start();
    };
  const of = { ...common, row: 'F4', goal: 'T3', generations: 1, seconds: 15 } as const;
  return [
    { ...of, name: 'node of the primary vanishes', times: 30, round: vanish('primary', false) },
    {
      ...of,
      name: 'node of the primary vanishes, the etcd leader with it',
      times: 10,
      seconds: 20,
      unavailable: async rig => (rig.shard.etcd.members.length < 3 ? 'one member of etcd has no other' : undefined),
      round: vanish('primary', true),
    },
    { ...of, name: 'node of the sync vanishes', times: 10, round: vanish('sync', false) },
  ];
}

/** F6 and the one-way halves of it in F9. */
function etcdCuts(): Scenario[] {
  const fromEtcd =
    (ms: number, ways: 'both' | 'in' | 'out', whom: 'primary' | 'all') =>
    async ({ rig }: Round) => {
      const network = networkOf(rig);
      const peers = whom === 'all' ? rig.shard.peers : [(await rig.roles()).primary];
      for (const { host } of peers) {
        for (const etcd of etcdHosts(rig)) {
          if (ways !== 'in') await network.cut(host, etcd);
          if (ways !== 'out') await network.cut(etcd, host);
        }
      }
      await sleep(ms);
      await network.healAll();
    };
  const quiet = { ...common, goal: 'none', noFailures: true } as const;
  return [
    {
      ...quiet,
      row: 'F6',
      name: 'primary cut from etcd, 3 s',
      generations: 0,
      seconds: 12,
      round: fromEtcd(3_000, 'both', 'primary'),
    },
    {
      ...common,
      row: 'F6',
      name: 'primary cut from etcd, 30 s',
      goal: 'T1',
      generations: 1,
      times: 1,
      seconds: 45,
      round: fromEtcd(30_000, 'both', 'primary'),
    },
    {
      ...quiet,
      row: 'F6',
      name: 'all peers cut from etcd, 15 s',
      generations: 0,
      times: 1,
      seconds: 30,
      round: fromEtcd(15_000, 'both', 'all'),
    },
    {
      ...common,
      row: 'F9',
      name: 'etcd does not hear the primary, 30 s',
      goal: 'T1',
      generations: [0, 1],
      times: 1,
      seconds: 45,
      round: fromEtcd(30_000, 'out', 'primary'),
    },
    {
      ...common,
      row: 'F9',
      name: 'the primary does not hear etcd, 30 s',
      goal: 'T1',
      generations: [0, 1],
      times: 1,
      seconds: 45,
      round: fromEtcd(30_000, 'in', 'primary'),
    },
  ];
}

/** F7: the async still hears the primary, so that the sync is replaced and does not take over. */
function pairCuts(): Scenario[] {
  const between =
    (ways: readonly ('there' | 'back')[]) =>
    async ({ rig, loader, measured, problem }: Round) => {
      const network = networkOf(rig);
      const { state, primary, sync } = await rig.roles();
      if (ways.includes('there')) await network.cut(primary.host, sync.host);
      if (ways.includes('back')) await network.cut(sync.host, primary.host);
      await rig.stateWhen(({ generation }) => generation > state.generation, 20_000, 'replacement of the sync');
      await loader.acknowledged(30_000);
      measured();
      if ((await rig.state()).primary.id !== primary.id)
        problem('the sync took over from a primary that the async heard');
      await sleep(3_000);
      await network.healAll();
    };
  const of = { ...common, row: 'F7', goal: 'T3', generations: 1, seconds: 20 } as const;
  return [
    { ...of, name: 'primary and sync cut from each other', round: between(['there', 'back']) },
    { ...of, name: 'the sync does not hear the primary', round: between(['there']) },
    { ...of, name: 'the primary does not hear the sync', round: between(['back']) },
  ];
}

/** A client beside the old primary goes on asking it: how long it gets answers is the fence (§9.2). */
async function isolatedPrimary({ rig, loader, measured, problem }: Round): Promise<void> {
  const { primary } = await rig.roles();
  const fenceMs = 3_000;
  const since = performance.now();
  await networkOf(rig).isolate(primary.host);
  const healed = sleep(10_000).then(() => networkOf(rig).healAll());
  const fenced = untilGateCloses(rig, primary);
  await loader.acknowledged(30_000);
  measured();
  const closedAfterMs = (await fenced) - since;
  if (closedAfterMs > fenceMs + 1_000) problem(`the old primary served reads for ${closedAfterMs.toFixed(0)} ms`);
  await healed;
}

/** performance.now() at which the old primary, looked at through its socket, admits no client any more. */
async function untilGateCloses(rig: Rig, peer: LocalPeer): Promise<number> {
  const open = `SELECT count(*) FROM pg_hba_file_rules WHERE 'manta_migrate' = ANY (user_name)`;
  for (;;) {
    const rows = await rig.query(peer, open, 'postgres').catch(() => [['0']]);
    if (rows[0]?.[0] === '0') return performance.now();
    await sleep(20);
  }
}

async function movingPartition({ rig, problem }: Round): Promise<void> {
  const network = networkOf(rig);
  const { state, primary } = await rig.roles();
  await network.isolate(primary.host);
  const next = await rig.stateWhen(({ generation }) => generation > state.generation, 20_000, 'takeover');
  await rig.shard.waitUntilWritable();
  await Promise.all([network.rejoin(primary.host), network.isolate(rig.shard.peer(next.primary.id).host)]);
  await sleep(8_000);
  const then = await rig.state();
  if (then.primary.id === primary.id) problem('a deposed primary came back without what it had missed');
  await network.healAll();
}

/**
 * The kernel's own loss and delay (netem) are often not built in, so links go away one after the other, each for some 20 ms:
 * what is lost is lost in bursts, which is harder on timers than single packets are.
 */
async function lossyLinks({ rig }: Round): Promise<void> {
  const network = networkOf(rig);
  const { primary, sync } = await rig.roles();
  const links = [
    [primary.host, sync.host],
    [sync.host, primary.host],
    ...[primary, sync].flatMap(({ host }) =>
      etcdHosts(rig).flatMap(etcd => [
        [host, etcd],
        [etcd, host],
      ]),
    ),
  ] as [string, string][];
  const until = performance.now() + 15_000;
  for (let turn = 0; performance.now() < until; turn += 1) {
    const [from, to] = links[turn % links.length] ?? ['', ''];
    await network.cut(from, to);
    await sleep(10);
    await network.heal(from, to);
    await sleep(10);
  }
}

/** From the offer to the promotion, about. */
const TAKEOVER_MS = 100;

/** Requests arrive and answers do not: what the sync wrote is unknown to it. */
async function lostReplies({ rig, problem }: Round): Promise<void> {
  const network = networkOf(rig);
  const { state, primary, sync } = await rig.roles();
  primary.killPostmaster();
  await eventually(async () => (await rig.shard.client.read()).peers[primary.id]?.value.status === 'abdicating');
  await sleep(Math.random() * TAKEOVER_MS);
  for (const etcd of etcdHosts(rig)) await network.cut(etcd, sync.host);
  // Shorter than the primary waits: a sync that had not acted yet still does.
  await sleep(1_000);
  const during = await rig.state();
  if (during.generation > state.generation + 1)
    problem(`${during.generation - state.generation} generations for one takeover`);
  await network.healAll();
}

/** Somebody answers at the address, but not the one that should. */
const FOREIGNER = `
const answer = JSON.stringify({ shard: 9, id: 'pg-9-0', incarnation: null, session: 'foreign', generation: 1 });
require('node:http').createServer((_, response) => {
  response.setHeader('content-type', 'application/json').end(answer);
}).listen(5433, process.argv[1]);
`;

async function foreignAddress({ rig, loader, measured, problem }: Round): Promise<void> {
  const network = networkOf(rig);
  const { state, primary, async } = await rig.roles();
  const address = network.address(primary.host);
  await network.giveAddress(primary.host, async.host);
  const [program = '', ...args] = [...network.command(async.host), process.execPath, '-e', FOREIGNER, address];
  const foreigner = spawn(program, args, { stdio: 'ignore' });
  try {
    await rig.stateWhen(({ generation }) => generation > state.generation, 10_000, 'takeover');
    await loader.acknowledged(10_000);
    measured();
  } catch (error) {
    problem(error instanceof Error ? error.message : String(error));
  } finally {
    foreigner.kill('SIGKILL');
    await network.healAll();
  }
}
