import type { Fault, FaultKind, When, Whom } from './faults.ts';
import type { Random } from './random.ts';

/** How much of each kind a random schedule holds. */
const WEIGHTS: readonly (readonly [FaultKind, number])[] = [
  ['crash', 8],
  ['crash-postgres', 6],
  ['orphan-postgres', 2],
  ['vanish', 4],
  ['isolate', 4],
  ['cut-etcd', 4],
  ['pause-sitter', 4],
  ['pause-server', 4],
  ['pause-both', 6],
  ['freeze-startup', 3],
  ['freeze-postmaster', 3],
  ['freeze-senders', 4],
  ['freeze-receivers', 3],
  ['sigterm', 5],
  ['lose-volume', 2],
  ['fill-disk', 3],
  ['slow-replay', 3],
  ['slow-network', 3],
  ['partition', 8],
  ['swap-addresses', 1],
  ['etcd-leader', 3],
  ['etcd-down', 3],
  ['etcd-lossy', 5],
  ['etcd-slow', 3],
  ['freeze-shard', 1],
  ['switchover', 4],
  ['rebuild', 1],
  ['restore-copy', 1],
  ['drop-replication', 4],
  ['etcd-late', 3],
];

const WHOM: readonly Whom[] = ['primary', 'primary', 'primary', 'sync', 'sync', 'sync', 'async', 'tail', 0, 1, 2];

/** Steps in the middle of which it is worth to be hit. */
const STEPS = [
  'join-sync',
  'declare-sync',
  'configure',
  'cut-receiver',
  'take-over',
  'promote',
  'open',
  'drain-clients',
  'hand-off',
  'abdicate',
  'rewind',
  'base-backup',
  'start',
  'stop',
  'settle',
] as const;

/** The time in which random faults begin, after the shard has opened. */
const FAULTS_MS = 20_000;

/** A schedule of one to eight faults, some of them aimed at steps of protocols. */
export function randomSchedule(random: Random): readonly Fault[] {
  const count = 1 + random.int(8);
  return Array.from({ length: count }, () => randomFault(random));
}

function randomFault(random: Random): Fault {
  const total = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random.int(total);
  const [kind] = WEIGHTS.find(([, weight]) => {
    left -= weight;
    return left < 0;
  }) ?? ['crash', 1];
  const when: When = random.chance(0.4)
    ? { after: random.pick(STEPS), delayMs: random.chance(0.7) ? random.between(0, 40) : random.between(40, 1_000) }
    : { at: random.between(0, FAULTS_MS) };
  const ms = random.chance(0.5) ? random.between(50, 2_500) : random.between(2_500, 12_000);
  return aFault(kind, when, ms, random);
}

function aFault(kind: FaultKind, when: When, ms: number, random: Random): Fault {
  const whom = random.pick(WHOM);
  switch (kind) {
    case 'partition':
      return { kind, when, ms, whom, from: random.pick(WHOM), isOneWay: random.chance(0.4) };
    case 'swap-addresses':
      return { kind, when, ms, whom, from: random.pick(WHOM) };
    case 'etcd-leader':
    case 'etcd-down':
    case 'etcd-lossy':
    case 'etcd-late':
    case 'etcd-restore':
    case 'etcd-slow':
    case 'freeze-shard':
    case 'switchover':
      return { kind, when, ms };
    default:
      return { kind, when, ms, whom };
  }
}
