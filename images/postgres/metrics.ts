import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Coordinator } from '../../lib/coordinator/coordinator.ts';
import { roleOf } from '../../lib/shard/state.ts';
import type { Action } from './action.ts';
import { answered, senderTo, standbyEnd } from './facts.ts';
import type { Round } from './sitter.ts';
import type { Snapshot } from './snapshot.ts';
import { isReady } from './status.ts';
import { createTakeoverPhases } from './takeover-phases.ts';

/** What a sitter measures (replication.md §14.1). The label `shard` is the scrape's. */
export interface SitterMetrics {
  /** Takes over what a turn of the loop saw and decided. */
  show(round: Round): void;
  /** Counts and times what was done. */
  acted(action: Action, startedAt: number, endedAt: number, failed: boolean): void;
  /** The same coordinator, its calls timed and its conflicts counted. */
  measured(coordinator: Coordinator): Coordinator;
}

const ROLES = ['primary', 'sync', 'async', 'deposed', 'none'] as const;

/** The conditions that wait for a person (§14.2), by the first word of a rule's reason. */
const HELD = [
  'StateInvalid',
  'StateMissing',
  'StateRegressed',
  'TimelineMismatch',
  'ForeignData',
  'LostData',
  'WrongMajor',
] as const;

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];

export function createSitterMetrics(registry: Registry, now: () => number): SitterMetrics {
  const meters = createMeters(registry);
  const phases = createTakeoverPhases((phase, ms) => meters.takeoverPhase.observe({ phase }, Math.max(0, ms) / 1_000));
  let heardAt: number | undefined;
  let seq: number | undefined;
  let waitingSince: number | undefined;

  function countTransition({ etcd, me }: Snapshot): void {
    const state = etcd.state?.value;
    if (state === undefined || state.seq === seq) return;
    // The first state that is seen is of a time before this process.
    if (seq !== undefined && state.writer === me.id) meters.transitions.inc({ cause: state.cause });
    seq = state.seq;
  }

  function timeCommitWait(s: Snapshot): void {
    const since = answered(s)?.commitWaitingSince;
    if (waitingSince !== undefined && since !== waitingSince) meters.commitWait.observe((s.now - waitingSince) / 1_000);
    waitingSince = since;
  }

  return {
    show({ snapshot, decision }) {
      heardAt = snapshot.evidence.heartbeat?.at;
      showTopology(meters, snapshot);
      showServer(meters, snapshot);
      countTransition(snapshot);
      timeCommitWait(snapshot);
      const why = decision?.action.kind === 'wait' ? decision.action.why : '';
      for (const reason of HELD) meters.held.set({ reason }, why.startsWith(`${reason}:`) ? 1 : 0);
    },
    acted({ kind }, startedAt, endedAt, failed) {
      if (failed) return;
      phases.acted(kind, { startedAt, endedAt }, heardAt);
      if (kind === 'start') meters.restarts.inc();
      if (kind === 'rewind') meters.rewinds.inc();
      if (kind === 'base-backup') meters.rebuilds.inc();
    },
    measured: coordinator => measure(coordinator, meters, now),
  };
}

function showTopology(meters: Meters, s: Snapshot): void {
  const state = s.etcd.state?.value;
  const role = state === undefined ? 'none' : roleOf(state, s.me.id);
  for (const name of ROLES) meters.role.set({ role: name }, name === role ? 1 : 0);
  if (state !== undefined) {
    meters.generation.set(state.generation);
    meters.seq.set(state.seq);
    meters.timeline.set(state.timeline);
  }
  const isOpenPrimary = role === 'primary' && isReady(s);
  meters.writable.set(isOpenPrimary ? 1 : 0);
  const found = answered(s);
  const isCovered =
    isOpenPrimary && state?.sync != null && found !== undefined && senderTo(found, state.sync.id) !== undefined;
  const hasSpare = state?.async.some(peer => s.etcd.peers[peer.id]?.value.health === 'ok') === true;
  meters.faultTolerant.set(isCovered && hasSpare && s.etcd.config?.value.freeze === undefined ? 1 : 0);
  if (s.etcd.readAt !== undefined) meters.coordinationAge.set((s.now - s.etcd.readAt) / 1_000);
  meters.heartbeatAge.reset();
  for (const [peer, { at }] of Object.entries(s.evidence.answers)) {
    meters.heartbeatAge.set({ peer }, (s.now - at) / 1_000);
  }
  const { heartbeat } = s.evidence;
  if (heartbeat !== undefined) meters.heartbeatAge.set({ peer: heartbeat.id }, (s.now - heartbeat.at) / 1_000);
}

function showServer(meters: Meters, s: Snapshot): void {
  const { written, free, drift } = s.server;
  meters.gateOpen.set(written?.gate === 'open' ? 1 : 0);
  meters.freeRatio.set({ volume: 'worse' }, free.ratio);
  meters.configDrift.set(drift === undefined ? 0 : 1);
  meters.lag.reset();
  const found = answered(s);
  if (found === undefined) return;
  meters.readOnly.set(found.readOnly ? 1 : 0);
  if (found.inRecovery && found.replayed !== undefined) {
    meters.lag.set({ stage: 'replay' }, Number(standbyEnd(found) - found.replayed));
  }
  const sync = s.etcd.state?.value.sync;
  const sender = sync == null || found.inRecovery ? undefined : senderTo(found, sync.id);
  if (sender === undefined || found.flushed === undefined) return;
  meters.flushReplyAge.set((s.now - sender.repliedAt) / 1_000);
  for (const [stage, position] of [
    ['flush', sender.flushed],
    ['replay', sender.replayed],
  ] as const) {
    if (position !== undefined) meters.lag.set({ stage }, Math.max(0, Number(found.flushed - position)));
  }
}

function measure(coordinator: Coordinator, meters: Meters, now: () => number): Coordinator {
  const timed = async <T>(call: string, work: Promise<T>): Promise<T> => {
    const startedAt = now();
    try {
      return await work;
    } finally {
      meters.coordination.observe({ call }, (now() - startedAt) / 1_000);
    }
  };
  return {
    read: (prefix, options) => timed('read', coordinator.read(prefix, options)),
    async commit(transaction, options) {
      const outcome = await timed('commit', coordinator.commit(transaction, options));
      if (outcome.kind === 'conflict') meters.conflicts.inc();
      return outcome;
    },
    grantLease: (ttlMs, options) => timed('lease', coordinator.grantLease(ttlMs, options)),
    renewLease: (lease, options) => timed('lease', coordinator.renewLease(lease, options)),
    revokeLease: (lease, options) => timed('lease', coordinator.revokeLease(lease, options)),
    watch: (prefix, changed) => coordinator.watch(prefix, changed),
    close: () => coordinator.close(),
  };
}

type Meters = ReturnType<typeof createMeters>;

function createMeters(registry: Registry) {
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `manta_postgres_${name}`, help, registers });
  const gauge = (name: string, help: string) => new Gauge(named(name, help));
  const gaugeBy = <Label extends string>(label: Label, name: string, help: string) =>
    new Gauge({ ...named(name, help), labelNames: [label] });
  const counter = (name: string, help: string) => new Counter(named(name, help));
  return {
    writable: gauge('writable', '1 on a primary that admits clients and takes writes'),
    role: gaugeBy('role', 'role', '1 for the role this peer has in the state'),
    faultTolerant: gauge('fault_tolerant', '1 on a primary that any other peer may fail, and itself too'),
    held: gaugeBy('reason', 'held', '1 while this peer does nothing until a person has looked'),
    generation: gauge('generation', 'of the state as last read'),
    seq: gauge('seq', 'of the state as last read'),
    timeline: gauge('timeline', 'highest timeline reserved for the shard'),
    lag: gaugeBy(
      'stage',
      'lag_bytes',
      'WAL the sync has not flushed or replayed; on a standby: that it has not replayed',
    ),
    freeRatio: gaugeBy('volume', 'free_ratio', 'of the volume that has less of it'),
    coordinationAge: gauge('coordination_age_seconds', 'since the last successful read of etcd was sent'),
    gateOpen: gauge('gate_open', '1 while clients are admitted'),
    readOnly: gauge('read_only', '1 while new transactions are read-only'),
    configDrift: gauge('config_drift', '1 while a safety setting in force is not the one written'),
    heartbeatAge: gaugeBy('peer', 'heartbeat_age_seconds', 'since that peer was last heard'),
    flushReplyAge: gauge('flush_reply_age_seconds', 'since the sync last replied'),
    commitWait: new Histogram({
      ...named('commit_wait_seconds', 'unbroken time during which some commit waited for the sync'),
      buckets: SECONDS,
    }),
    transitions: new Counter({
      ...named('transitions_total', 'states this peer wrote'),
      labelNames: ['cause'],
    }),
    takeoverPhase: new Histogram({
      ...named('takeover_phase_seconds', 'parts of a takeover, from the last sign of the primary to the open gate'),
      labelNames: ['phase'],
      buckets: SECONDS,
    }),
    rewinds: counter('rewinds_total', 'rewinds begun'),
    rebuilds: counter('rebuilds_total', 'base backups begun'),
    restarts: counter('restarts_total', 'starts of PostgreSQL'),
    coordination: new Histogram({
      ...named('coordination_seconds', 'calls of etcd, by kind'),
      labelNames: ['call'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    }),
    conflicts: counter('coordination_conflicts_total', 'transactions whose comparisons did not hold'),
  };
}
