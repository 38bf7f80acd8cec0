import pino from 'pino';
import type { StoreSnapshot } from '../../../lib/coordinator/store.ts';
import { shardKeys } from '../../../lib/shard/keys.ts';
import type { ShardConfig } from '../../../lib/shard/records.ts';
import { type ClusterState, chainOf } from '../../../lib/shard/state.ts';
import type { Action, Decision } from '../action.ts';
import { defaultTimes, type Times } from '../times.ts';
import { startClient } from './clients.ts';
import { EtcdModel } from './etcd.ts';
import type { Instance } from './instance.ts';
import type { Mutation } from './mutations.ts';
import { Network } from './network.ts';
import { Peer } from './peer.ts';
import { Checker, type Violation } from './properties.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly peers: number;
  readonly mutation?: Mutation | undefined;
  /** Called with everything that is worth a line of a trace. */
  readonly trace?: (at: number, peer: string, text: string) => void;
  readonly times?: Times;
}

export const keys = shardKeys('/manta', 1);
const SWEEP_MS = 500;

/** A shard of its own: peers, etcd, clients, the network between them, and the checker that watches all of it. */
export class World {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly network: Network;
  readonly etcd: EtcdModel;
  readonly peers: readonly Peer[];
  readonly checker: Checker;
  readonly times: Times;
  readonly mutation: Mutation | undefined;
  readonly logger = pino({ level: 'silent' });
  /** How often each rule has decided. */
  readonly covered = new Map<string, number>();
  violation: Violation | undefined;
  /** Called with each decision that is acted upon, for faults that wait for one. */
  onDecision: (peer: Peer, decision: Decision) => void = () => {};
  /** Address to peer. */
  readonly addresses = new Map<string, string>();
  #values = 0;
  #isRestoring = false;
  readonly #trace: (at: number, peer: string, text: string) => void;
  #config: ShardConfig;

  constructor(options: WorldOptions) {
    this.random = new Random(options.seed);
    this.times = options.times ?? defaultTimes;
    this.mutation = options.mutation;
    this.#trace = options.trace ?? (() => {});
    this.network = new Network(this.scheduler, this.random.fork('network'));
    this.etcd = new EtcdModel(this.scheduler, this.network, this.random.fork('etcd'));
    this.#config = { peers: options.peers, failover: 'auto', databases: ['index'], parameters: {} };
    const fooledRewind = this.random.chance(0.5);
    this.peers = Array.from({ length: options.peers }, (_, place) => new Peer(this, `pg-1-${place}`, fooledRewind));
    for (const [place, peer] of this.peers.entries()) this.addresses.set(`10.0.0.${place + 1}`, peer.id);
    this.checker = new Checker({
      now: () => this.scheduler.now,
      times: this.times,
      volumeOf: id => this.peer(id).volume,
      peers: this.peers.map(({ id }) => id),
      isFrozen: () => this.#config.freeze !== undefined,
      violated: violation => this.#violated(violation),
      note: (peer, text) => this.note(peer, text),
    });
    this.etcd.store.onChange(({ keys: changed }) => {
      if (changed.includes(keys.state)) this.#stateChanged();
    });
  }

  /** Boots peers and clients; the operator gives leave to begin. */
  begin(): void {
    this.writeConfig({});
    this.etcd.store.commit({
      compare: [],
      operations: [{ put: keys.bootstrap, value: '{"at":"1970-01-01T00:00:00Z"}' }],
    });
    for (const peer of this.peers) this.scheduler.after(this.random.between(0, 200), () => peer.boot());
    const clientDeps = {
      scheduler: this.scheduler,
      network: this.network,
      etcd: this.etcd,
      times: this.times,
      instanceAt: (peer: string) => this.instanceAt(peer),
      nextValue: () => {
        this.#values += 1;
        return this.#values;
      },
    };
    for (const id of ['client-1', 'client-2', 'client-3']) {
      startClient({ ...clientDeps, random: this.random.fork(id) }, id);
    }
    this.#sweep();
  }

  peer(id: string): Peer {
    const found = this.peers.find(peer => peer.id === id);
    if (found === undefined) throw new RangeError(`no peer ${id}`);
    return found;
  }

  instanceAt(id: string): Instance | undefined {
    return this.peer(id).server?.instance();
  }

  /** An operator restores etcd from a backup. What the state had become is nobody's any more until somebody writes it. */
  restoreEtcd(snapshot: StoreSnapshot): void {
    this.#isRestoring = true;
    this.etcd.restore(snapshot);
    this.#isRestoring = false;
  }

  get state(): ClusterState | undefined {
    return this.checker.state;
  }

  get config(): ShardConfig {
    return this.#config;
  }

  writeConfig(change: Partial<ShardConfig>): void {
    const { freeze: _, ...rest } = { ...this.#config, ...change };
    this.#config = change.freeze === undefined ? rest : { ...rest, freeze: change.freeze };
    this.etcd.store.commit({ compare: [], operations: [{ put: keys.config, value: JSON.stringify(this.#config) }] });
  }

  note(peer: string, text: string): void {
    this.#trace(this.scheduler.now, peer, text);
  }

  decided(peer: Peer, decision: Decision): void {
    this.covered.set(decision.rule, (this.covered.get(decision.rule) ?? 0) + 1);
    if (decision.action.kind === 'wait') {
      if (peer.waitsFor !== decision.action.why) this.note(peer.id, `${decision.rule} waits: ${decision.action.why}`);
      peer.waitsFor = decision.action.why;
      return;
    }
    peer.waitsFor = undefined;
    this.note(peer.id, `${decision.rule}: ${describeAction(decision.action)}`);
    this.onDecision(peer, decision);
  }

  /** Open, writable, fault-tolerant, everybody in the chain: S11's end. The sentence says what is missing. */
  unhealthy(): string | undefined {
    const { state } = this;
    if (state === undefined) return 'there is no state';
    if (state.deposed.length > 0) return `${state.deposed.map(({ id }) => id).join(', ')} still deposed`;
    if (chainOf(state).length < this.peers.length) return 'not everybody is in the chain';
    const primary = this.instanceAt(state.primary.id);
    if (primary?.phase !== 'up' || primary.inRecovery) return `${state.primary.id} does not run as primary`;
    if (primary.postmasterSettings.gate !== 'open' || primary.postmasterSettings.readOnly) return 'the gate is closed';
    const sync = [...primary.senders].find(sender => sender.name === state.sync?.id && sender.isStreaming);
    if (sync?.priority !== 1) return 'the sync does not stream';
    const quietMs = this.scheduler.now - this.checker.lastAcknowledgedAt;
    return quietMs > 3_000 ? `nothing was acknowledged for ${Math.round(quietMs)} ms` : undefined;
  }

  /** Somebody waits for an operator, as the design wants it: then nothing comes back by itself. */
  awaitsOperator(): boolean {
    return this.peers.some(peer => /^(CrashLoop|RebuildFailed|LostData|StateRegressed)/.test(peer.waitsFor ?? ''));
  }

  #violated(violation: Violation): void {
    if (this.violation !== undefined) return;
    this.violation = violation;
    this.note('', `VIOLATION ${violation.property}: ${violation.message}`);
    this.scheduler.stop();
  }

  /** For properties that are checked from outside. */
  violate(property: Violation['property'], message: string): void {
    this.#violated({ property, at: this.scheduler.now, message });
  }

  #stateChanged(): void {
    const entry = this.etcd.store.get(keys.state);
    if (entry === undefined) return;
    const next = JSON.parse(entry.value) as ClusterState;
    const { seq, generation, cause, primary, sync, async, deposed, initWal, timeline } = next;
    this.note(
      next.writer,
      `state ${seq}: generation ${generation} ${cause}, ${primary.id} > ${sync?.id} > ${async.map(({ id }) => id)}, deposed [${deposed.map(({ id }) => id)}], initWal ${initWal}, timeline ${timeline}`,
    );
    if (this.#isRestoring) this.checker.stateRestored(next);
    else this.checker.stateWritten(next);
  }

  #sweep(): void {
    this.scheduler.after(SWEEP_MS, () => {
      this.checker.sweep();
      this.#sweep();
    });
  }
}

function describeAction(action: Action): string {
  const { kind, ...rest } = action;
  if (kind === 'write-state') return kind;
  return `${kind} ${JSON.stringify(rest, (key, value) => (key === 'databases' || key === 'parameters' || key === 'dumps' ? undefined : value)).slice(0, 220)}`;
}
