import { pino } from 'pino';
import type { CommitOutcome, Comparison, Operation } from '../../../lib/coordinator/coordinator.ts';
import { shardKeys } from '../../../lib/shard/keys.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Ports } from '../ports.ts';
import type { InForce, Positions, Sender, Server, Settings } from '../server.ts';
import type { EtcdView, LocalRecord, Snapshot } from '../snapshot.ts';

/** What an action did to its ports, in order; and a small world that answers it. A test changes the world as it likes. */
export interface Recorder {
  readonly ports: Ports;
  /** `server.reload`, `store.writeState 5`, ... Reads of memory are left out. */
  readonly calls: string[];
  readonly world: World;
  /** The last job that was started. */
  readonly job: { ended: Promise<void>; readonly abort: AbortController };
  /** What was written to etcd. */
  readonly written: { next: ClusterState; compare: readonly Comparison[]; operations: readonly Operation[] }[];
}

export interface World {
  positions: Positions;
  senders: readonly Sender[];
  /** Undefined: what was written last, as soon as it is reloaded. */
  inForce: InForce | undefined;
  receivers: { pid: number; startedAt: string }[];
  /** A receiver that is asked to end does. */
  receiversEnd: boolean;
  hasRecord: boolean;
  outcome: CommitOutcome;
  fresh: EtcdView;
  settings: Settings | undefined;
  /** Called before each call is answered. */
  onCall: (call: string) => void;
}

/** The ports of a peer that sees the snapshot. Time passes only in sleeps. */
export function createRecorder(s: Snapshot): Recorder {
  const calls: string[] = [];
  const written: Recorder['written'] = [];
  const world = worldOf(s);
  const job = { ended: Promise.resolve(), abort: new AbortController() };
  let now = s.now;
  let local: LocalRecord = s.local;
  let process = s.server.process;
  const say = (call: string) => {
    calls.push(call);
    world.onCall(call);
  };
  const server: Partial<Server> = {
    observe: async () => ({ ...s.server, process, written: world.settings }),
    async writeSettings(settings) {
      say(
        `server.writeSettings ssn=${settings.ssn.join('+')} gate=${settings.gate} upstream=${settings.upstream?.id ?? 'nobody'}`,
      );
      world.settings = settings;
    },
    reload: async () => say('server.reload'),
    async inForce() {
      say('server.inForce');
      const { ssn = [], readOnly = false } = world.settings ?? {};
      return world.inForce ?? { ssn, readOnly, errors: 0 };
    },
    async senders() {
      say('server.senders');
      return world.senders;
    },
    async terminate(pid) {
      say(`server.terminate ${pid}`);
      if (world.receiversEnd) world.receivers = world.receivers.filter(receiver => receiver.pid !== pid);
    },
    async resumeReplay() {
      say('server.resumeReplay');
    },
    async terminateClients() {
      say('server.terminateClients');
      return 0;
    },
    async openTransactions() {
      say('server.openTransactions');
      return 0;
    },
    writeReceiverPassword: async content => say(`server.writeReceiverPassword ${content}`),
    async receivers() {
      say('server.receivers');
      return [...world.receivers];
    },
    async positions() {
      say('server.positions');
      return world.positions;
    },
    async hasRecordAt() {
      say('server.hasRecordAt');
      return world.hasRecord;
    },
    placePlaceholders: async reserved => say(`server.placePlaceholders ${reserved}`),
    async promote() {
      say('server.promote');
      const { replayed, timeline } = world.positions;
      world.positions = { ...world.positions, inRecovery: false, flushed: replayed, timeline: timeline + 1 };
    },
    createDatabases: async () => {
      say('server.createDatabases');
      return false;
    },
    createRoles: async () => say('server.createRoles'),
    checkpoint: async () => say('server.checkpoint'),
    rewind: async from => say(`server.rewind ${from.id}`),
    start: async () => say('server.start'),
    tryLogin: async () => say('server.tryLogin'),
    async stop(mode) {
      say(`server.stop ${mode}`);
      process = { kind: 'none' };
    },
  };
  let view = s.etcd;
  const ports: Ports = {
    logger: pino({ level: 'silent' }),
    pace: {
      now: () => now,
      sleep: async ms => {
        now += ms;
      },
    },
    server: server as Server,
    store: {
      keys: shardKeys('/manta', 1),
      view: () => view,
      async refresh() {
        say('store.refresh');
        view = world.fresh;
        return view;
      },
      async writeState(next, { compare = [], operations = [] } = {}) {
        say(`store.writeState ${next.generation}`);
        written.push({ next, compare, operations });
        if (world.outcome.kind === 'committed')
          world.fresh = { ...world.fresh, state: { value: next, modRevision: world.outcome.revision } };
        return world.outcome;
      },
      async commit() {
        say('store.commit');
        return world.outcome;
      },
      settle: async () => say('store.settle'),
    },
    record: {
      status: s.evidence.status,
      statusGeneration: s.evidence.statusGeneration,
      statusSince: s.evidence.statusSince,
      withdrewAt: undefined,
      rewindable: s.evidence.rewindable,
      forbidRewind: () => say('record.forbidRewind'),
      set: async change => say(`record.set ${JSON.stringify(change)}`),
    },
    local: {
      current: () => local,
      async save(change) {
        say(`local.save ${Object.keys(change).join()}`);
        local = { ...local, ...change };
      },
    },
    jobs: {
      start(_, run) {
        job.ended = run(job.abort.signal, () => {});
      },
      abort: () => say('jobs.abort'),
    },
    randomName: () => 'name',
  };
  return { ports, calls, world, job, written };
}

function worldOf(s: Snapshot): World {
  const { inRecovery = true, timeline = 3, flushed, received, replayed, senders = [] } = s.server.answered ?? {};
  return {
    positions: { inRecovery, timeline, flushed, received, replayed },
    senders,
    inForce: undefined,
    receivers: [{ pid: 77, startedAt: 'then' }],
    receiversEnd: true,
    hasRecord: false,
    outcome: { kind: 'committed', revision: 100 },
    fresh: s.etcd,
    settings: s.server.written,
    onCall: () => {},
  };
}
