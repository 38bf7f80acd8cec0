import type { Action } from '../action.ts';
import type { Fault } from './faults.ts';
import type { Random } from './random.ts';

/** A short script of faults around one protocol. Its timing is random; its end is `Fault.ms` after its last line. */
export interface Scenario {
  readonly name: string;
  readonly peers?: 3 | 5;
  /** Writes must go on within so long after the first fault, whatever still lasts: the third promise of G7. */
  readonly servesWithinMs?: number;
  faults(random: Random): readonly Fault[];
}

const at = (ms: number) => ({ at: ms });
const after = (kind: Action['kind'], delayMs: number) => ({ after: kind, delayMs });
/** When the shard has been writing for a moment. */
const begin = (random: Random) => random.between(500, 1_500);

function aScenario(name: string, faults: Scenario['faults'], more: Partial<Scenario> = {}): Scenario {
  return { name, faults, ...more };
}

export const scenarios = {
  /** It streams and confirms until it is replaced. */
  syncReplaced: aScenario('a sync is asked to end', random => [
    { kind: 'sigterm', whom: 'sync', when: at(begin(random)), ms: 1 },
  ]),
  /** The successor holds the position and nothing later. */
  successorFallsBehind: aScenario('a sync is asked to end, and its successor is cut off', random => [
    { kind: 'sigterm', whom: 'sync', when: at(begin(random)), ms: 1 },
    { kind: 'isolate', whom: 'async', when: after('join-sync', random.between(0, 40)), ms: 5_000 },
  ]),
  /** A sync that is replaced and knows nothing of it streams on, and is to replace its own successor. */
  syncReturns: aScenario('a sync is to be rebuilt while its sitter sleeps, and its successor dies', random => [
    { kind: 'pause-sitter', whom: 'sync', when: at(1_000), ms: 2_300 },
    { kind: 'rebuild', whom: 'sync', when: at(1_010), ms: 1 },
    { kind: 'crash', whom: 'sync', when: after('declare-sync', random.between(200, 400)), ms: 8_000 },
  ]),
  /** The transaction that names the new sync arrives seconds later. */
  declarationLost: aScenario('a sync is asked to end while etcd loses answers', random => [
    { kind: 'etcd-late', when: after('join-sync', 0), ms: 1_500 },
    { kind: 'sigterm', whom: 'sync', when: at(begin(random)), ms: 1 },
  ]),
  /** The transaction arrives when its writer has gone back to the old sync. */
  declarationTakenBack: aScenario('a successor goes away while its declaration is on its way', random => [
    { kind: 'etcd-late', when: after('join-sync', 0), ms: random.between(20, 60) },
    { kind: 'sigterm', whom: 'sync', when: at(begin(random)), ms: 1 },
    { kind: 'sigterm', whom: 'async', when: after('join-sync', random.between(0, 20)), ms: 1 },
  ]),
  /** It streams to its sync all the while. */
  primaryDetached: aScenario('a primary is cut off from etcd', random => [
    { kind: 'cut-etcd', whom: 'primary', when: at(begin(random)), ms: 20_000 },
  ]),
  syncBehindInReplay: aScenario('a primary dies while its sync replays slowly', random => {
    const start = begin(random);
    return [
      { kind: 'freeze-startup', whom: 'sync', when: at(start), ms: 6_000 },
      {
        kind: 'partition',
        whom: 'sync',
        from: 'async',
        isOneWay: false,
        when: at(start + random.between(200, 500)),
        ms: 8_000,
      },
      { kind: 'crash', whom: 'primary', when: at(start + 700), ms: 8_000 },
    ];
  }),
  /** Both standbys: one that had not been set back would be ahead of the sync, and no candidate. */
  syncRestored: aScenario('sync and async come back with old copies of their data when the primary dies', random => {
    const start = begin(random);
    return [
      { kind: 'restore-copy', whom: 'async', when: at(start + 500), ms: 200 },
      { kind: 'restore-copy', whom: 'sync', when: at(start + 500), ms: 200 },
      { kind: 'vanish', whom: 'primary', when: at(start + 500 + random.between(0, 20)), ms: 20_000 },
    ];
  }),
  /** A receiver with the password in its memory is on its way to the primary when the sync takes over. */
  receiverConnecting: aScenario('a primary is cut off from etcd while its sync connects to it', random => {
    const start = begin(random);
    const due = start + 12_400;
    return [
      { kind: 'cut-etcd', whom: 'primary', when: at(start), ms: 25_000 },
      { kind: 'freeze-startup', whom: 'sync', when: after('cut-receiver', 0), ms: 6_000 },
      {
        kind: 'freeze-postmaster',
        whom: 'primary',
        when: at(due - random.between(300, 900)),
        ms: random.between(1_200, 2_400),
      },
      { kind: 'drop-replication', whom: 'sync', when: at(due - 250), ms: 1 },
    ];
  }),
  /** It is dropped from the chain, does not see the new timeline, and had not been shut down. */
  standbyLeftBehind: aScenario(
    'an async is away while the primary is replaced',
    random => [
      { kind: 'vanish', whom: 'tail', when: at(5_000 + begin(random)), ms: random.between(32_000, 36_000) },
      { kind: 'crash', whom: 'primary', when: at(35_000 + begin(random)), ms: 500 },
    ],
    { peers: 5 },
  ),
  primaryLosesVolume: aScenario('a primary loses its volume', random => [
    { kind: 'lose-volume', whom: 'primary', when: at(begin(random)), ms: 300 },
  ]),
  primaryRestarts: aScenario('a primary is started again', random => [
    { kind: 'isolate', whom: 'sync', when: at(begin(random)), ms: 4_000 },
    { kind: 'crash-postgres', whom: 'primary', when: at(begin(random) + 1_300), ms: 1 },
  ]),
  /** What waited for the sync is visible after the restart. */
  primaryRestartsAlone: aScenario('a primary is started again without its sync', random => {
    const start = begin(random);
    return [
      { kind: 'isolate', whom: 'sync', when: at(start), ms: 8_000 },
      { kind: 'crash-postgres', whom: 'primary', when: at(start + random.between(200, 900)), ms: 1 },
    ];
  }),
  /** Its last commits are on its own disk only. */
  primaryDiesAhead: aScenario('a primary dies with commits that its sync has not got', random => {
    const start = begin(random);
    return [
      { kind: 'partition', whom: 'sync', from: 'primary', isOneWay: false, when: at(start), ms: 6_000 },
      { kind: 'crash', whom: 'primary', when: at(start + random.between(300, 900)), ms: 8_000 },
    ];
  }),
  syncDiskFull: aScenario(
    'the disk of a sync is full',
    random => [{ kind: 'fill-disk', whom: 'sync', when: at(begin(random)), ms: 40_000 }],
    { servesWithinMs: 25_000 },
  ),
  primaryHangs: aScenario(
    'the PostgreSQL of a primary hangs',
    random => [{ kind: 'pause-server', whom: 'primary', when: at(begin(random)), ms: 40_000 }],
    { servesWithinMs: 25_000 },
  ),
  etcdRestored: aScenario('etcd is restored from before a takeover', random => {
    const start = begin(random);
    return [
      { kind: 'etcd-restore', when: at(start), ms: 9_000 },
      { kind: 'crash', whom: 'primary', when: at(start + 1_000), ms: 500 },
      { kind: 'crash', whom: 'primary', when: at(start + 10_000), ms: 10_000 },
    ];
  }),
  etcdRepaired: aScenario('an operator goes on after etcd was restored from before a takeover', random => {
    const start = begin(random);
    return [
      { kind: 'etcd-restore', when: at(start), ms: 9_000 },
      { kind: 'crash', whom: 'primary', when: at(start + 1_000), ms: 500 },
      { kind: 'state-repair', whom: 'primary', when: at(start + random.between(10_000, 14_000)), ms: 1 },
    ];
  }),
  takeoverForced: aScenario('an operator forces a takeover', random => {
    const start = begin(random);
    return [
      { kind: 'vanish', whom: 'primary', when: at(start), ms: 12_000 },
      { kind: 'isolate', whom: 'tail', when: at(start), ms: 12_000 },
      { kind: 'force-takeover', whom: 'sync', when: at(start + random.between(2_000, 6_000)), ms: 4_000 },
    ];
  }),
  frozenMeanwhile: aScenario('the operator freezes the shard in the middle of a change', random => [
    { kind: 'sigterm', whom: 'sync', when: at(begin(random)), ms: 1 },
    { kind: 'freeze-shard', when: after('declare-sync', random.between(0, 8)), ms: 3_000 },
  ]),
  /** The second takeover is by one who has seen nothing of the first. */
  timelineUnseen: aScenario(
    'a primary that was just promoted vanishes',
    random => [
      { kind: 'crash', whom: 'primary', when: at(begin(random)), ms: 15_000 },
      { kind: 'partition', whom: 'primary', from: 'sync', isOneWay: false, when: after('promote', 0), ms: 15_000 },
      { kind: 'vanish', whom: 'primary', when: after('promote', random.between(45, 120)), ms: 15_000 },
    ],
    { peers: 5 },
  ),
} as const satisfies Readonly<Record<string, Scenario>>;
