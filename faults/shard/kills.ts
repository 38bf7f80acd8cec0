import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalPeer } from '../../images/postgres/local/local-shard.ts';
import { signalProcess } from '../../images/postgres/local/process-tree.ts';
import type { Rig, Roles } from './rig.ts';
import type { Round, Scenario } from './scenario.ts';

type Place = 'primary' | 'sync' | 'async';
const places: readonly Place[] = ['primary', 'sync', 'async'];

/** The primary's death and the sync's each make a new generation, the async's none. */
const generationsOf = (place: Place) => (place === 'async' ? 0 : 1);

/** F1 to F3: processes die, one kind at a time. */
export const killScenarios: readonly Scenario[] = [
  ...places.map(
    (place): Scenario => ({
      row: 'F1',
      name: `postmaster of the ${place} killed`,
      goal: place === 'async' ? 'none' : 'T1',
      generations: generationsOf(place),
      times: place === 'primary' ? 100 : 20,
      seconds: 6,
      round: async ({ rig, problem }) => {
        if (!(await rig.roles())[place].killPostmaster()) problem('there was no postmaster to kill');
      },
    }),
  ),
  ...backendScenarios(),
  ...places.map(
    (place): Scenario => ({
      row: 'F3',
      name: `container of the ${place} killed`,
      goal: place === 'async' ? 'none' : 'T2',
      generations: generationsOf(place),
      times: place === 'primary' ? 50 : 10,
      seconds: 8,
      round: async ({ rig }) => (await rig.roles())[place].killTree(),
    }),
  ),
  {
    row: 'F3',
    name: 'sitter of the primary killed',
    goal: 'T2',
    generations: 1,
    times: 10,
    seconds: 8,
    round: async ({ rig, problem }) => {
      if (!(await rig.roles()).primary.killSitter()) problem('there was no sitter to kill');
    },
  },
];

/** M1: what a primary acknowledges that its sender has not sent; with full durability, nothing. */
export const senderScenarios: readonly Scenario[] = [
  {
    row: 'F3',
    name: 'the sender to the sync stands still, then the container of the primary is killed',
    generations: 1,
    times: 5,
    seconds: 10,
    round: stoppedSender,
  },
  {
    row: 'M1',
    name: 'the same with commits that do not wait for the sync: writes must be found missing',
    mustLose: { durability: 'local' },
    times: 1,
    seconds: 10,
    round: stoppedSender,
  },
];

async function stoppedSender({ rig, problem }: Round): Promise<void> {
  const { primary } = await rig.roles();
  const title = /^postgres: walsender /;
  const senders = primary.parts().server.filter(({ command }) => title.test(command));
  if (senders.length === 0) problem('the primary has no sender');
  for (const { pid } of senders) signalProcess(pid, 'SIGSTOP');
  await sleep(300);
  await primary.killTree();
}

function backendScenarios(): Scenario[] {
  const kill = async ({ rig, problem }: Round, place: Place, title: RegExp) => {
    const found = (await rig.roles())[place].parts().server.find(({ command }) => title.test(command));
    if (found === undefined) problem(`no process of the ${place} is called ${title}`);
    else signalProcess(found.pid, 'SIGKILL');
  };
  const common = { row: 'F2', times: 10, seconds: 6 } as const;
  return [
    {
      ...common,
      name: 'a backend of the primary killed',
      goal: 'T1',
      generations: 1,
      round: round => kill(round, 'primary', /^postgres: manta_webapi /),
    },
    {
      // A killed child of any kind brings a server down; it is the same as a killed postmaster.
      ...common,
      name: 'a sender of the primary killed',
      goal: 'T1',
      generations: [0, 1],
      round: round => kill(round, 'primary', /^postgres: walsender /),
    },
    {
      ...common,
      name: "the sync's startup process killed",
      goal: 'T1',
      generations: 1,
      round: round => kill(round, 'sync', /^postgres: startup /),
    },
  ];
}

/** F23 and F20: more than one at once, and volumes that are gone. */
export const lossScenarios: readonly Scenario[] = [
  {
    row: 'F23',
    name: 'primary killed, then the sync 2 s later',
    times: 10,
    seconds: 15,
    round: async ({ rig }) => {
      const { primary, sync } = await rig.roles();
      await primary.killTree({ stayDown: true });
      await sleep(2_000);
      await sync.killTree({ stayDown: true });
      await sleep(1_000);
      primary.start();
      sync.start();
    },
  },
  {
    row: 'F23',
    name: 'all killed, started again in every order',
    times: 6,
    seconds: 20,
    round: async ({ rig, number }) => {
      await killAll(rig);
      for (const peer of orderOf(await rig.roles(), number)) {
        peer.start();
        await sleep(1_000);
      }
    },
  },
  ...(['primary', 'sync'] as const).map(
    (place): Scenario => ({
      row: 'F20',
      name: `volume of the ${place} emptied while it is down`,
      generations: 1,
      times: 3,
      seconds: 20,
      round: async ({ rig, problem }) => {
        const { state, [place]: peer } = await rig.roles();
        await peer.killTree({ stayDown: true });
        emptyVolume(peer);
        peer.start();
        await rig.shard.waitUntilHealthy();
        if ((await rig.state()).systemId !== state.systemId) problem('the shard has become another database');
      },
    }),
  ),
];

/** All that a volume holds but the lock, which a process that is starting may have open already. */
export function emptyVolume(peer: LocalPeer): void {
  const data = join(peer.dir, 'data');
  for (const name of readdirSync(data).filter(found => found !== 'sitter'))
    rmSync(join(data, name), { recursive: true });
  const kept = join(data, 'sitter');
  for (const name of readdirSync(kept).filter(found => found !== 'lock')) rmSync(join(kept, name), { recursive: true });
}

/** At the same moment, as far as one process can. */
export async function killAll(rig: Rig): Promise<void> {
  await Promise.all(rig.shard.peers.map(peer => peer.killTree({ stayDown: true })));
}

function orderOf({ primary, sync, async }: Roles, number: number): readonly LocalPeer[] {
  const orders = [
    [primary, sync, async],
    [primary, async, sync],
    [sync, primary, async],
    [sync, async, primary],
    [async, primary, sync],
    [async, sync, primary],
  ] as const;
  return orders[number % orders.length] ?? orders[0];
}

/** F24: the actor of a protocol, or its peer, dies at some step of it; which one, a random delay decides. */
export const stepScenarios: readonly Scenario[] = [
  ['takeover', 'sync', (roles: Roles) => Promise.resolve(void roles.primary.killPostmaster())],
  ['takeover', 'async', (roles: Roles) => Promise.resolve(void roles.primary.killPostmaster())],
  ['replacement of the sync', 'primary', (roles: Roles) => Promise.resolve(void roles.sync.killPostmaster())],
  ['replacement of the sync', 'async', (roles: Roles) => Promise.resolve(void roles.sync.killPostmaster())],
  ['switchover', 'primary', (_: Roles, rig: Rig) => rig.shard.client.request('switchover')],
  ['switchover', 'sync', (_: Roles, rig: Rig) => rig.shard.client.request('switchover')],
].map(
  ([protocol, victim, begin]): Scenario => ({
    row: 'F24',
    name: `${protocol}: the ${victim} dies during it`,
    times: 10,
    seconds: 12,
    round: async ({ rig }) => {
      const roles = await rig.roles();
      // What becomes of the protocol itself is another matter: it may well be refused, or never answered.
      const beginning = (begin as (roles: Roles, rig: Rig) => Promise<unknown>)(roles, rig).catch(() => {});
      await sleep(Math.random() * 400);
      await roles[victim as Place].killTree();
      void beginning;
    },
  }),
);
