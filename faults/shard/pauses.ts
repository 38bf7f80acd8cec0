import { setTimeout as sleep } from 'node:timers/promises';
import type { Part } from '../../images/postgres/local/peer-parts.ts';
import { signalProcess } from '../../images/postgres/local/process-tree.ts';
import { freeze } from './planned.ts';
import type { Rig } from './rig.ts';
import type { Round, Scenario } from './scenario.ts';

const PAUSE_S = 10;

/** F5, F26, F33: processes that stand still and go on. */
export const pauseScenarios: readonly Scenario[] = [
  pauseOf('primary', 'whole', { goal: 'T3', generations: 1 }),
  { ...pauseOf('primary', 'whole', { goal: 'T3', generations: 1 }, 60), times: 1, byName: true },
  // The health check takes 5 s to give up, and what is left is killed.
  pauseOf('primary', 'server', { generations: 1 }),
  // Under load the sync still hears the replication stream: only its missing registration shows, after 10 s.
  pauseOf('primary', 'sitter', { generations: [0, 1] }),
  pauseOf('sync', 'whole', { goal: 'T3', generations: 1 }),
  {
    row: 'F5',
    name: 'primary paused whole for 1 s',
    generations: 0,
    times: 5,
    seconds: 6,
    round: async ({ rig }) => {
      const { primary } = await rig.roles();
      primary.pause('whole');
      await sleep(1_000);
      primary.resume('whole');
    },
  },
  {
    row: 'F26',
    name: 'commits wait on a frozen sync, the primary restarts, clients cancel',
    times: 3,
    seconds: 20,
    round: waitingCommits,
  },
  {
    row: 'F33',
    name: "takeover while the sync's receiver connects and its startup process is frozen",
    times: 5,
    seconds: 20,
    round: frozenReceiver,
  },
];

function pauseOf(
  place: 'primary' | 'sync',
  part: Part,
  more: Pick<Scenario, 'goal' | 'generations'>,
  seconds = PAUSE_S,
): Scenario {
  return {
    row: 'F5',
    name: `${place} paused: ${part}, ${seconds} s`,
    ...more,
    times: 3,
    seconds: seconds + 15,
    round: async ({ rig, loader, measured }) => {
      const peer = (await rig.roles())[place];
      peer.pause(part);
      const resumed = sleep(seconds * 1_000).then(() => peer.resume(part));
      await loader.acknowledged(30_000);
      measured();
      await resumed;
    },
  };
}

/** Nobody may see the rows before the sync has them (H7): the loader's reader and the checker look. */
async function waitingCommits({ rig }: Round): Promise<void> {
  // Frozen, so that the primary neither replaces its sync nor gives way to it.
  await freeze(rig, true);
  const { primary, sync } = await rig.roles();
  sync.pause('whole');
  await sleep(500);
  const ends = await cancelWaiting(rig);
  primary.killPostmaster();
  await sleep(3_000);
  sync.resume('whole');
  await freeze(rig, false);
  void ends;
}

/** Cancels some of the commits that wait, and terminates others. */
async function cancelWaiting(rig: Rig): Promise<number> {
  const { primary } = await rig.roles();
  const waiting = `FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
  const ends = await rig.query(
    primary,
    `SELECT CASE WHEN pid % 3 = 0 THEN pg_cancel_backend(pid) WHEN pid % 3 = 1 THEN pg_terminate_backend(pid) END ${waiting}`,
    'postgres',
  );
  return ends.length;
}

/**
 * H16. The primary stands still; the sync's receiver is killed, so that a new one stays connecting; its startup process
 * stands still, too. After the takeover was written the old primary's server goes on and finds the receiver at its door.
 */
async function frozenReceiver({ rig, problem }: Round): Promise<void> {
  const { state, primary, sync } = await rig.roles();
  primary.pause('whole');
  const processOf = (title: RegExp) => sync.parts().server.find(({ command }) => title.test(command))?.pid;
  const [receiver, startup] = [processOf(/^postgres: walreceiver /), processOf(/^postgres: startup /)];
  if (receiver === undefined || startup === undefined) problem('the sync has no receiver or no startup process');
  if (receiver !== undefined) signalProcess(receiver, 'SIGTERM');
  await sleep(300);
  if (startup !== undefined) signalProcess(startup, 'SIGSTOP');
  const written = await rig
    .stateWhen(({ generation }) => generation > state.generation, 8_000, 'takeover')
    .catch(error => {
      // A server whose recovery stands still may be found hung instead; the old primary then goes on.
      if (error instanceof Error) problem(error.message);
    });
  primary.resume('server');
  await sleep(1_000);
  if (startup !== undefined) signalProcess(startup, 'SIGCONT');
  if (written !== undefined) await sync.killTree();
  primary.resume('whole');
}
