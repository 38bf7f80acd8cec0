import type { Logger } from 'pino';
import type { Subscription } from '../coordinator/coordinator.ts';
import type { ConnectionTarget, Home, MovingTarget } from '../database/moving-target.ts';
import { createWaitingRoom, type WaitingRoom } from '../database/waiting-room.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { startTask, type Task } from '../lifecycle/task.ts';
import type { AskPrimary } from './ask-primary.ts';
import type { ShardKeys } from './keys.ts';
import { type PeerRecord, peerRecordSchema } from './records.ts';
import type { ObserveWait } from './resolver-metrics.ts';
import type { ClusterState } from './state.ts';
import { createStateView, type StateSource, type StateView } from './state-view.ts';

/** Bounds of one resolver, in milliseconds where nothing else is said. */
export interface ResolverConfig {
  readonly shard: number;
  /** Age of the last proof up to which the primary is believed in. Derived: 1.5 × lease TTL (appendix A). */
  readonly fenceMs: number;
  /** One stay in the queue (§9.2), and how many calls may be there. */
  readonly queueMs: number;
  readonly maxWaiting: number;
  /** Attempts at what a server refused, all stays in the queue included. */
  readonly patienceMs: number;
  /** Between looks at the age of the proof, and for one answer of the sitter. */
  readonly checkMs: number;
  readonly askMs: number;
}

/** The figures of replication.md §9.2 and appendix A. */
export const resolverDefaults: Omit<ResolverConfig, 'shard'> = {
  fenceMs: 3_000,
  queueMs: 2_000,
  maxWaiting: 2_000,
  patienceMs: 3_000,
  checkMs: 250,
  askMs: 500,
};

/** What a resolver stands on. */
export interface ResolverDeps {
  /** The keys of the shard, followed. */
  readonly source: StateSource;
  readonly keys: ShardKeys;
  readonly askPrimary: AskPrimary;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observeWait?: ObserveWait;
}

/** Where the primary of one shard is: layer 1 of the read fence (replication.md §9.2). */
export interface Resolver {
  readonly shard: number;
  /**
   * A database of the shard, for pools and listeners: `settings` without host and port, asked for every connection. New
   * work goes to the primary while it is proved that it is still the primary, and waits while it hands over.
   */
  target(settings: ConnectionTarget): MovingTarget;
  status(): {
    readonly generation: number | undefined;
    readonly primary: string | undefined;
    readonly isHandingOver: boolean;
    /** Undefined before the first proof. */
    readonly proofAgeMs: number | undefined;
    readonly waiting: number;
  };
  /** Calls that wait then time out; connections stay as they are. */
  close(): Promise<void>;
}

/** In these a primary takes no new work; only in the generation that they were set in. */
const STEPPING_DOWN: ReadonlySet<string> = new Set(['handoff', 'handed-off', 'abdicating']);

/** Follows one shard. It never decides: who is primary is what the state says, and whether that still holds is proved. */
export function createResolver(deps: ResolverDeps, config: ResolverConfig): Resolver {
  return new ShardResolver(deps, config);
}

/**
 * A server as primary: the same object for as long as it is that. A new sync is a new generation and the same server: what
 * runs there goes on. A new primary takes a new timeline.
 */
interface Primary {
  readonly id: string;
  readonly incarnation: string | null;
  readonly timeline: number;
  readonly systemId: string | null;
  readonly host: string;
  readonly port: number;
}

class ShardResolver implements Resolver {
  readonly shard: number;
  readonly #deps: ResolverDeps;
  readonly #config: ResolverConfig;
  readonly #view: StateView;
  readonly #room: WaitingRoom;
  readonly #subscription: Subscription;
  readonly #checking: Task;
  readonly #moved = new Set<() => void>();
  #primary: Primary | undefined;
  /** The state that names it, as last read. */
  #state: ClusterState | undefined;
  #isHandingOver = false;
  /** Monotonic time of the latest moment at which the primary certainly was the primary. */
  #provenAt = Number.NEGATIVE_INFINITY;

  constructor(deps: ResolverDeps, config: ResolverConfig) {
    this.shard = config.shard;
    this.#deps = deps;
    this.#config = config;
    this.#view = createStateView(deps, { key: deps.keys.state });
    this.#room = createWaitingRoom({ maxWaiting: config.maxWaiting, maxWaitMs: config.queueMs }, ms =>
      deps.observeWait?.(config.shard, ms),
    );
    this.#subscription = deps.source.onChange(() => this.#look());
    this.#look();
    this.#checking = startTask(`resolver-${config.shard}`, config.checkMs, signal => this.#check(signal), deps);
  }

  target(settings: ConnectionTarget): MovingTarget {
    const homes = new WeakMap<Primary, Home>();
    const homeOf = (primary: Primary): Home => {
      let home = homes.get(primary);
      if (home === undefined) {
        const { timeline, host, port } = primary;
        const systemId = primary.systemId ?? undefined;
        home = { timeline, systemId, connection: () => ({ ...settings(), host, port }) };
        homes.set(primary, home);
      }
      return home;
    };
    return {
      home: () => {
        const primary = this.#primary;
        if (primary === undefined || this.#isHandingOver || !this.#isFresh()) return undefined;
        return homeOf(primary);
      },
      mayUse: home => this.#primary !== undefined && homeOf(this.#primary) === home && this.#isFresh(),
      room: this.#room,
      patienceMs: this.#config.patienceMs,
      onMove: listener => {
        const tell = () => {
          if (this.#primary !== undefined) listener(homeOf(this.#primary));
        };
        this.#moved.add(tell);
        return () => this.#moved.delete(tell);
      },
    };
  }

  status(): ReturnType<Resolver['status']> {
    this.#collectProof();
    return {
      generation: this.#state?.generation,
      primary: this.#primary?.id,
      isHandingOver: this.#isHandingOver,
      proofAgeMs: Number.isFinite(this.#provenAt) ? this.#ageMs() : undefined,
      waiting: this.#room.waiting,
    };
  }

  async close(): Promise<void> {
    this.#subscription.close();
    await this.#checking.stop();
  }

  #ageMs(): number {
    return this.#deps.clock.monotonic() - this.#provenAt;
  }

  #isFresh(): boolean {
    if (this.#ageMs() <= this.#config.fenceMs) return true;
    this.#collectProof();
    return this.#ageMs() <= this.#config.fenceMs;
  }

  /** Every read of the state that finds it as we follow it proves it, from the moment the read was sent. */
  #collectProof(): void {
    const readAt = this.#view.isConfirmed() ? this.#deps.source.current()?.sentAt : undefined;
    if (readAt !== undefined) this.#provenAt = Math.max(this.#provenAt, readAt);
  }

  #look(): void {
    this.#view.look();
    const state = this.#view.current();
    if (state !== undefined) {
      // What proved the last one says nothing of this one.
      if (state.generation !== this.#state?.generation) this.#provenAt = Number.NEGATIVE_INFINITY;
      this.#follow(state);
    }
    this.#collectProof();
    this.#room.wake();
  }

  #follow(state: ClusterState): void {
    const record = this.#recordOf(state);
    this.#isHandingOver =
      record !== undefined && record.statusGeneration === state.generation && STEPPING_DOWN.has(record.status);
    // A peer that lost its data directory is not the primary that the state names.
    const isSame = record !== undefined && record.incarnation === state.primary.incarnation;
    const { id, incarnation } = state.primary;
    const { timeline, systemId } = state;
    const found = { id, incarnation, timeline, systemId, ...addressOf(isSame ? record.pgUrl : state.primary.pgUrl) };
    this.#state = state;
    if (JSON.stringify(found) === JSON.stringify(this.#primary)) return;
    this.#primary = found;
    this.#deps.logger.info(
      { shard: this.shard, generation: state.generation, primary: state.primary.id, cause: state.cause },
      'following a primary',
    );
    for (const tell of this.#moved) tell();
  }

  #recordOf(state: ClusterState): PeerRecord | undefined {
    const key = this.#deps.keys.peer(state.primary.id);
    const entry = this.#deps.source.current()?.entries.find(item => item.key === key);
    if (entry === undefined) return undefined;
    try {
      return peerRecordSchema.parse(JSON.parse(entry.value));
    } catch (error) {
      this.#deps.logger.warn({ shard: this.shard, peer: state.primary.id, err: error }, 'peer record cannot be read');
      return undefined;
    }
  }

  /** While etcd proves nothing, the primary's sitter may: it knows of flush replies of its sync (§9.2). */
  async #check(signal: AbortSignal): Promise<void> {
    this.#collectProof();
    const state = this.#state;
    if (state !== undefined && this.#ageMs() > this.#config.fenceMs / 2) await this.#ask(state, signal);
    if (this.#room.waiting > 0) this.#room.wake();
  }

  async #ask(state: ClusterState, signal: AbortSignal): Promise<void> {
    const { id, incarnation, sitterUrl } = state.primary;
    const sentAt = this.#deps.clock.monotonic();
    try {
      const url = this.#recordOf(state)?.sitterUrl ?? sitterUrl;
      const answer = await this.#deps.askPrimary(
        url,
        AbortSignal.any([signal, AbortSignal.timeout(this.#config.askMs)]),
      );
      const isSame = answer.id === id && answer.incarnation === incarnation && answer.generation === state.generation;
      if (!isSame || this.#state?.generation !== state.generation) return;
      // Fresh until then, by a proof one fence older; counted from the question, so never too long.
      const provenAt = sentAt + Math.min(answer.freshForMs, this.#config.fenceMs) - this.#config.fenceMs;
      this.#provenAt = Math.max(this.#provenAt, provenAt);
    } catch (error) {
      this.#deps.logger.debug({ shard: this.shard, primary: id, err: error }, 'the primary does not confirm itself');
    }
  }
}

function addressOf(pgUrl: string): { host: string; port: number } {
  const { hostname, port } = new URL(pgUrl);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 5432) };
}
