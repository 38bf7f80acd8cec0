import { setTimeout as sleep } from 'node:timers/promises';
import type { Round, Scenario } from './scenario.ts';

/** Switches over and reports a refusal. */
export async function switchOver({ rig, problem }: Pick<Round, 'rig' | 'problem'>): Promise<void> {
  const { outcome, message } = await rig.shard.client.request('switchover');
  if (outcome !== 'Done') problem(`the switchover was answered ${outcome}: ${message}`);
}

/** F27, F28, F30: what an operator does. */
export const plannedScenarios: readonly Scenario[] = [
  {
    row: 'F27',
    name: 'switchover on request',
    goal: 'T4',
    generations: 1,
    noFailures: true,
    times: 50,
    seconds: 5,
    round: switchOver,
  },
  {
    row: 'F30',
    name: 'SIGTERM to each peer in turn',
    goal: 'T4',
    noFailures: true,
    times: 3,
    seconds: 40,
    round: rollAll,
  },
  {
    row: 'F28',
    name: 'frozen: postmaster of the primary killed',
    generations: 0,
    times: 3,
    seconds: 15,
    round: async ({ rig, loader }) => {
      await freeze(rig, true);
      (await rig.roles()).primary.killPostmaster();
      await sleep(2_000);
      await loader.acknowledged(30_000);
      await freeze(rig, false);
    },
  },
  {
    row: 'F28',
    name: 'frozen: primary gone until unfrozen',
    generations: 1,
    times: 3,
    seconds: 20,
    round: async ({ rig, problem }) => {
      await freeze(rig, true);
      const { state, primary } = await rig.roles();
      await primary.killTree({ stayDown: true });
      await sleep(5_000);
      if ((await rig.state()).generation !== state.generation) problem('a frozen shard began a new generation');
      await freeze(rig, false);
      await rig.stateWhen(({ generation }) => generation > state.generation, 10_000, 'takeover after unfreezing');
      primary.start();
    },
  },
  {
    row: 'F28',
    name: 'failover manual: primary gone until a switchover is asked for',
    generations: 1,
    times: 3,
    seconds: 20,
    round: async ({ rig, problem }) => {
      await rig.shard.client.configure(config => ({ ...config, failover: 'manual' }));
      const { state, primary } = await rig.roles();
      await primary.killTree({ stayDown: true });
      await sleep(4_000);
      if ((await rig.state()).generation !== state.generation) problem('a takeover that nobody had asked for');
      await switchOver({ rig, problem });
      await rig.shard.client.configure(config => ({ ...config, failover: 'auto' }));
      primary.start();
    },
  },
];

/** Asyncs first, the primary last, each only when all is well again (replication.md §12.8). */
async function rollAll({ rig, problem }: Round): Promise<void> {
  const { primary, sync, async } = await rig.roles();
  for (const peer of [async, sync, primary]) {
    await rig.shard.waitUntilHealthy();
    if (!(await peer.terminate())) problem(`${peer.id} did not end within a minute of SIGTERM`);
    peer.start();
  }
  await rig.shard.waitUntilHealthy();
}

/** Sets or lifts the operator's freeze. */
export function freeze(rig: Round['rig'], isFrozen: boolean): Promise<void> {
  const wish = { at: new Date().toISOString(), by: 'faults', reason: 'a test' };
  return rig.shard.client.configure(({ freeze: _, ...config }) => (isFrozen ? { ...config, freeze: wish } : config));
}
