import type { Coordinator } from '../../../lib/coordinator/coordinator.ts';
import type { ShardKeys } from '../../../lib/shard/keys.ts';
import { formatLsn } from '../../../lib/shard/lsn.ts';
import type { Executors } from '../act.ts';
import type { ActionOf } from '../action.ts';
import { committed, stateOf } from '../actions/commit.ts';
import { putInForce } from '../actions/in-force.ts';
import { declareSync } from '../actions/replace-sync.ts';
import type { Rule } from '../decide.ts';
import type { DetectorDeps } from '../detector.ts';
import { asPrimary, isHealthy, primarySettings, refOf, ssnOf } from '../facts.ts';
import type { KeptRecord } from '../own-record.ts';
import type { Ports } from '../ports.ts';
import { bootstrap } from '../rules/bootstrap.ts';
import { open } from '../rules/open.ts';
import { start } from '../rules/start.ts';
import type { ServerView } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';
import type { ModelServer } from './postgres.ts';
import type { Property } from './properties.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/** One protection switched off, by putting other rules, actions or ports in the place of the real ones. */
export interface Mutation {
  readonly name: string;
  /** What is done instead of what the design wants. */
  readonly why: string;
  /** Any of which must break. */
  readonly breaks: readonly Property[];
  /** Faults among which the protection is needed. */
  readonly scenario: Scenario;
  /** Found in every run of the tests; the others by `npm run sim -- --mutations`. */
  readonly isQuick: boolean;
  /** In the place of the rules of the same names. */
  readonly rules?: readonly Rule[];
  readonly executors?: Partial<Executors>;
  readonly coordinator?: (real: Coordinator, keys: ShardKeys) => Coordinator;
  readonly server?: (real: ModelServer) => ModelServer;
  readonly record?: (real: KeptRecord) => KeptRecord;
  readonly detector?: (real: DetectorDeps) => DetectorDeps;
}

const quick = { isQuick: true } as const;
const nightly = { isQuick: false } as const;

export const mutations: readonly Mutation[] = [
  {
    ...quick,
    name: 'H1',
    why: 'the new sync is declared first, and its name becomes SSN some time later',
    breaks: ['S1'],
    scenario: scenarios.syncReplaced,
    executors: {
      'join-sync': (ports, s, { candidate }) => declareNow(ports, s, candidate),
      configure: async (ports, _, { settings }) => {
        await ports.pace.sleep(100);
        await putInForce(ports, settings);
      },
    },
  },
  {
    ...quick,
    name: 'J1 skipped',
    why: 'the position is read and the new sync declared while the old one alone confirms',
    breaks: ['S1'],
    scenario: scenarios.syncReplaced,
    executors: { 'join-sync': (ports, s, { candidate }) => declareNow(ports, s, candidate) },
  },
  {
    ...quick,
    name: 'J2 before J1',
    why: 'the position is read before both have to confirm',
    breaks: ['S1'],
    scenario: scenarios.successorFallsBehind,
    executors: {
      'join-sync': async (ports, s, { candidate, settings }) => {
        const { flushed } = await ports.server.positions();
        await ports.pace.sleep(30);
        await putInForce(ports, settings);
        if (flushed !== undefined) await declareNow(ports, s, candidate, flushed);
      },
    },
  },
  {
    ...quick,
    name: 'J3 before J1',
    why: 'the new sync is declared before both have to confirm',
    breaks: ['S1'],
    scenario: scenarios.syncReplaced,
    executors: {
      'join-sync': async (ports, s, { candidate, settings }) => {
        await declareNow(ports, s, candidate);
        await putInForce(ports, settings);
      },
    },
  },
  {
    ...quick,
    name: 'J4 before J3',
    why: 'the new sync alone confirms before it is declared',
    breaks: ['S1'],
    scenario: scenarios.syncReturns,
    executors: {
      'declare-sync': async (ports, s, { candidate }) => {
        await putInForce(ports, primarySettings(s, { ssn: [candidate], readOnly: false, gate: 'open' }));
        await ports.pace.sleep(150);
        await declareNow(ports, s, candidate);
      },
    },
  },
  {
    ...quick,
    name: 'J4 skipped on unknown',
    why: 'a declaration of which nobody knows counts as failed, and the old sync alone confirms again',
    breaks: ['S1'],
    scenario: scenarios.declarationLost,
    executors: { 'declare-sync': declareOrGoBack },
  },
  {
    ...quick,
    name: 'H2',
    why: 'the receiver goes on while the sync reads its position',
    breaks: ['S1', 'S2'],
    scenario: scenarios.primaryDetached,
    executors: { 'cut-receiver': ({ server }) => server.writeReceiverPassword('empty') },
    server: real => ({ ...real, receivers: async () => [] }),
  },
  {
    ...quick,
    name: 'H3',
    why: 'what is replayed counts as what the sync holds; nothing is drained',
    breaks: ['S1'],
    scenario: scenarios.syncBehindInReplay,
    server: real => ({
      ...real,
      positions: async () => {
        const found = await real.positions();
        return found.inRecovery ? { ...found, received: found.replayed } : found;
      },
    }),
  },
  {
    ...quick,
    name: 'H4',
    why: 'a directory that was restored counts as the one that had confirmed',
    breaks: ['S1'],
    scenario: scenarios.syncRestored,
    server: withOneIncarnation,
  },
  {
    ...quick,
    name: 'H16',
    why: 'the connection string is emptied, and pg_stat_wal_receiver shows nobody',
    breaks: ['S1', 'S2'],
    scenario: scenarios.receiverConnecting,
    server: withoutPassword,
  },
  {
    ...nightly,
    name: 'H5',
    why: 'a primary without data makes a new database',
    breaks: ['S9', 'S1', 'S7'],
    scenario: scenarios.primaryLosesVolume,
    rules: [
      { ...bootstrap, decide: s => (isPrimaryWithoutData(s) ? { kind: 'initialise' } : bootstrap.decide(s)) },
      { name: 'abdicate', why: 'never', decide: () => undefined },
      { name: 'hold', why: 'never', decide: () => undefined },
      { name: 'start', why: 'whatever is there', decide: startAnything },
    ],
  },
  {
    ...nightly,
    name: 'H6',
    why: 'a primary starts without a synchronous standby',
    breaks: ['S6'],
    scenario: scenarios.primaryRestarts,
    server: real => ({
      ...real,
      writeSettings: settings =>
        real.writeSettings(
          settings.role === 'primary' && settings.gate === 'closed' ? { ...settings, ssn: [] } : settings,
        ),
    }),
  },
  {
    ...nightly,
    name: 'H7',
    why: 'a restarted primary lets clients in before its sync holds what they will see (7.8 step 4)',
    breaks: ['S4'],
    scenario: scenarios.primaryRestartsAlone,
    rules: [{ ...open, decide: openAtOnce }],
  },
  {
    ...nightly,
    name: 'H8',
    why: 'a promoted server stays on its timeline',
    breaks: ['S5'],
    scenario: scenarios.primaryDiesAhead,
    server: withoutNewTimeline,
  },
  {
    ...nightly,
    name: 'H9',
    why: 'a sync is replaced only when its session is gone',
    breaks: ['S11'],
    scenario: scenarios.syncDiskFull,
    rules: [{ name: 'replace-sync', why: 'never', decide: () => undefined }],
  },
  {
    ...nightly,
    name: 'H10',
    why: 'a primary that hangs keeps its role, and its server is not ended either',
    breaks: ['S11'],
    scenario: scenarios.primaryHangs,
    rules: [
      { name: 'abdicate', why: 'never', decide: () => undefined },
      { ...start, decide: s => (s.server.process.kind === 'up' ? undefined : start.decide(s)) },
    ],
  },
  {
    ...nightly,
    name: 'H14',
    why: 'a state older than what the volume has seen is followed',
    breaks: ['S1', 'S2', 'S3', 'S5', 'S11'],
    scenario: scenarios.etcdRestored,
    rules: [{ name: 'hold', why: 'never', decide: () => undefined }],
  },
  {
    ...nightly,
    name: 'unknown is failed',
    why: 'a transaction whose answer was lost counts as not applied',
    breaks: ['S1', 'S3'],
    scenario: scenarios.declarationTakenBack,
    coordinator: real => ({
      ...real,
      commit: async (transaction, options) => {
        const outcome = await real.commit(transaction, options);
        return outcome.kind === 'unknown' ? { kind: 'conflict' } : outcome;
      },
    }),
  },
  {
    ...nightly,
    name: 'own key not compared',
    why: 'a transaction of a registration that has ended may still be applied',
    breaks: ['S1', 'S3'],
    scenario: scenarios.declarationTakenBack,
    coordinator: (real, keys) => withoutComparison(real, key => key.startsWith(keys.peers)),
  },
  {
    ...nightly,
    name: 'config not compared',
    why: 'a freeze counts only for what is decided later',
    breaks: ['S10'],
    scenario: scenarios.frozenMeanwhile,
    coordinator: (real, keys) => withoutComparison(real, key => key === keys.config),
  },
  {
    ...nightly,
    name: 'timelines reused',
    why: 'the server takes the next number that it happens to know nothing of',
    breaks: ['S5'],
    scenario: scenarios.timelineUnseen,
    server: real => ({ ...real, placePlaceholders: async () => {} }),
  },
];

/** J2 and J3 with whatever is in force. */
async function declareNow(ports: Ports, s: Snapshot, candidate: string, at?: bigint): Promise<void> {
  const { server, store } = ports;
  const state = stateOf(store);
  const successor = s.etcd.peers[candidate];
  const { flushed, timeline } = await server.positions();
  if (successor === undefined || flushed === undefined || state.sync?.id === candidate) return;
  const old = state.sync !== null && isHealthy(s, state.sync.id) ? s.etcd.peers[state.sync.id] : undefined;
  const { oneNode: _, ...rest } = state;
  await committed(
    store,
    await store.writeState({
      ...rest,
      seq: state.seq + 1,
      generation: state.generation + 1,
      sync: refOf(successor),
      async: [...state.async.filter(peer => peer.id !== candidate), ...(old === undefined ? [] : [refOf(old)])],
      initWal: formatLsn((at as typeof flushed | undefined) ?? flushed),
      initTimeline: timeline,
      cause: 'sync-replaced',
      writer: s.me.id,
    }),
  );
}

async function declareOrGoBack(ports: Ports, s: Snapshot, action: ActionOf<'declare-sync'>): Promise<void> {
  try {
    await declareSync(ports, s, action);
  } catch (error) {
    await putInForce(ports, primarySettings(s, { ssn: ssnOf(stateOf(ports.store)), readOnly: false, gate: 'open' }));
    throw error;
  }
}

/** Every directory a peer ever has looks like its first. */
function withOneIncarnation(real: ModelServer): ModelServer {
  return {
    ...real,
    observe: async () => {
      const view = await real.observe();
      const { volume } = real.machine;
      if (view.directory.kind !== 'usable') return view;
      volume.firstIncarnation ??= view.directory.incarnation;
      return { ...view, directory: { ...view.directory, incarnation: volume.firstIncarnation } };
    },
  };
}

/** Promoted by taking the recovery file away; it says that it took the number that was reserved. */
function withoutNewTimeline(real: ModelServer): ModelServer {
  let reserved = 0;
  const told = <Seen extends { readonly inRecovery: boolean; readonly timeline: number }>(seen: Seen): Seen =>
    seen.inRecovery ? seen : { ...seen, timeline: Math.max(seen.timeline, reserved) };
  return {
    ...real,
    placePlaceholders: async timeline => {
      reserved = timeline;
    },
    promote: async () => {
      const instance = real.instance();
      if (instance !== undefined) instance.keepsTimeline = true;
      await real.promote();
    },
    positions: async () => told(await real.positions()),
    observe: async () => {
      const view = await real.observe();
      return view.answered === undefined ? view : { ...view, answered: told(view.answered) };
    },
  };
}

/** The receiver's password is always there, and only a receiver that streams is seen. */
function withoutPassword(real: ModelServer): ModelServer {
  let told: ServerView['receiverPassword'] = 'empty';
  void real.writeReceiverPassword('current');
  return {
    ...real,
    writeReceiverPassword: async content => {
      told = content;
    },
    observe: async () => ({ ...(await real.observe()), receiverPassword: told }),
    receivers: async () => {
      const streaming = [...(real.instance()?.receivers ?? [])].filter(receiver => receiver.phase === 'streaming');
      return (await real.receivers()).filter(({ pid }) => streaming.some(receiver => receiver.pid === pid));
    },
  };
}

function withoutComparison(real: Coordinator, isLeftOut: (key: string) => boolean): Coordinator {
  return {
    ...real,
    commit: (transaction, options) =>
      real.commit({ ...transaction, compare: transaction.compare.filter(({ key }) => !isLeftOut(key)) }, options),
  };
}

function isPrimaryWithoutData(s: Snapshot): boolean {
  return asPrimary(s) !== undefined && s.server.directory.kind !== 'usable';
}

function startAnything(s: Snapshot) {
  const state = asPrimary(s);
  if (state === undefined) return start.decide(s);
  if (s.server.process.kind !== 'none' || s.server.directory.kind !== 'usable') return undefined;
  return {
    kind: 'start',
    settings: primarySettings(s, { ssn: ssnOf(state), readOnly: true, gate: 'closed' }),
  } as const;
}

function openAtOnce(s: Snapshot) {
  const state = asPrimary(s);
  const up = s.server.process.kind === 'up' && s.server.answered?.inRecovery === false;
  if (state === undefined || !up || s.server.written?.gate === 'open' || s.evidence.status !== 'active')
    return undefined;
  return { kind: 'open', settings: primarySettings(s, { ssn: ssnOf(state), readOnly: false, gate: 'open' }) } as const;
}
