import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killAll } from './kills.ts';
import { switchOver } from './planned.ts';
import type { Rig } from './rig.ts';
import type { Round, Scenario } from './scenario.ts';

/** F15, F16, F18, F19: etcd fails, forgets, or is gone. */
export const coordinationScenarios: readonly Scenario[] = [
  {
    row: 'F15',
    name: 'leader of etcd killed',
    goal: 'none',
    noFailures: true,
    generations: 0,
    times: 5,
    seconds: 8,
    unavailable: async rig => (rig.shard.etcd.members.length < 3 ? 'one member of etcd has no other' : undefined),
    round: async ({ rig }) => {
      const leader = await rig.shard.etcd.leader();
      await leader?.kill();
      await sleep(3_000);
      await leader?.start();
    },
  },
  outageOf(20),
  { ...outageOf(600), byName: true },
  {
    row: 'F16',
    name: 'etcd down, primary killed, etcd back',
    generations: 1,
    times: 3,
    seconds: 20,
    round: outageAndDeath,
  },
  {
    row: 'F18',
    name: 'etcd restored from an older snapshot',
    times: 1,
    seconds: 40,
    round: restoredEtcd,
  },
  {
    row: 'F19',
    name: 'state key deleted with all peers down',
    times: 1,
    seconds: 40,
    round: deletedState,
  },
];

function outageOf(seconds: number): Scenario {
  return {
    row: 'F15',
    name: `all of etcd down for ${seconds} s`,
    goal: 'none',
    noFailures: true,
    generations: 0,
    times: 1,
    seconds: seconds + 10,
    round: async ({ rig }) => {
      await downAll(rig);
      await sleep(seconds * 1_000);
      await upAll(rig);
    },
  };
}

async function downAll(rig: Rig): Promise<void> {
  await Promise.all(rig.shard.etcd.members.map(member => member.kill()));
}

async function upAll(rig: Rig): Promise<void> {
  await Promise.all(rig.shard.etcd.members.map(member => member.start()));
}

async function outageAndDeath({ rig, loader, problem, measured }: Round): Promise<void> {
  const { primary } = await rig.roles();
  await downAll(rig);
  await sleep(2_000);
  await primary.killTree({ stayDown: true });
  await sleep(1_000);
  const back = loader.now();
  await upAll(rig);
  await loader.acknowledged(30_000);
  measured();
  const tookMs = loader.now() - back;
  // etcd's own start and election are part of it; the goal counts from when it serves.
  if (tookMs > 8_000) problem(`writes came back ${tookMs.toFixed(0)} ms after etcd had been started`);
  primary.start();
}

async function restoredEtcd(round: Round): Promise<void> {
  const { rig, loader, problem } = round;
  const { members } = rig.shard.etcd;
  const copies = (name: string) => join(rig.shard.peers[0]?.dir ?? '', '..', `${name}-${process.pid}-${Date.now()}`);
  const kept = new Map(members.map(member => [member, copies(member.name)]));
  await Promise.all(members.map(member => member.stop()));
  for (const [member, to] of kept) member.snapshot(to);
  await upAll(rig);
  await rig.shard.waitUntilHealthy();
  await switchOver(round);
  await rig.shard.waitUntilHealthy();
  const newer = await rig.state();
  await Promise.all(members.map(member => member.stop()));
  for (const [member, from] of kept) member.restore(from);
  await upAll(rig);
  await sleep(5_000);
  const held = await rig.shard.status();
  if (!held.peers.some(peer => peer.rule.includes('StateRegressed'))) problem('no peer says StateRegressed');
  await loader.acknowledged(5_000).catch(() => problem('writes stopped when an old state appeared'));
  const { outcome, message } = await rig.shard.client.request('state-repair', {
    peer: newer.primary.id,
    ...(newer.sync === null ? {} : { sync: newer.sync.id }),
  });
  if (outcome !== 'Done') problem(`state-repair was answered ${outcome}: ${message}`);
}

async function deletedState({ rig, problem }: Round): Promise<void> {
  const before = await rig.state();
  await killAll(rig);
  await rig.shard.coordinator.commit({ compare: [], operations: [{ delete: rig.shard.keys.state }] });
  for (const peer of rig.shard.peers) peer.start();
  await sleep(5_000);
  if ((await rig.shard.client.read()).state !== undefined) problem('a state appeared by itself');
  const { outcome, message } = await rig.shard.client.request('state-repair', {
    peer: before.primary.id,
    ...(before.sync === null ? {} : { sync: before.sync.id }),
  });
  if (outcome !== 'Done') problem(`state-repair was answered ${outcome}: ${message}`);
}
