import { shardKeys } from '../../../lib/shard/keys.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import { derivedTimes, type Times } from '../times.ts';
import type { EtcdModel } from './etcd.ts';
import type { Instance } from './instance.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';
import { Life, type Scheduler } from './scheduler.ts';
import type { Session } from './session.ts';

export interface ClientDeps {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly etcd: EtcdModel;
  readonly random: Random;
  readonly times: Times;
  instanceAt(peer: string): Instance | undefined;
  nextValue(): number;
}

const REREAD_MS = 500;
const PATIENCE_MS = 5_000;
const RETRY_MS = 150;

/**
 * A program of the data tier: it follows the state by the resolver's rules (replication.md §9.2, layer 1) in the small:
 * one connection, of one generation, used only while the last proof is young enough. It writes values that are unique in
 * the world, and reads.
 */
export function startClient(deps: ClientDeps, id: string): void {
  const { scheduler, network, random, times } = deps;
  const life = new Life(scheduler);
  const { state: stateKey } = shardKeys('/manta', 1);
  const coordinator = deps.etcd.client(id, life);
  let state: ClusterState | undefined;
  let revision = 0;
  let provedAt = Number.NEGATIVE_INFINITY;
  let connection: { readonly session: Session; readonly host: string; readonly generation: number } | undefined;
  let attempt = 0;

  function look(): void {
    coordinator.read(stateKey).then(
      ({ entries, sentAt }) => {
        const entry = entries[0];
        provedAt = Math.max(provedAt, sentAt);
        if (entry === undefined || entry.modRevision === revision) return;
        revision = entry.modRevision;
        state = JSON.parse(entry.value) as ClusterState;
        if (connection !== undefined && connection.generation !== state.generation) drop();
      },
      () => {},
    );
  }

  function drop(): void {
    const dropped = connection;
    connection = undefined;
    // What waits at the server goes on waiting there: the client only hears no more of it.
    if (dropped !== undefined) network.send(id, dropped.host, () => dropped.session.hangUp());
  }

  /** The next thing to do; an answer that comes after its time is nobody's. */
  function next(ms: number): void {
    attempt += 1;
    const mine = attempt;
    scheduler.after(ms, () => {
      if (mine === attempt) step();
    });
  }

  function step(): void {
    attempt += 1;
    const mine = attempt;
    const isFresh = scheduler.now - provedAt <= derivedTimes(times).fenceMs;
    if (state === undefined || !isFresh) {
      next(RETRY_MS);
      return;
    }
    const wait = () => {
      scheduler.after(PATIENCE_MS, () => {
        if (mine !== attempt) return;
        drop();
        next(0);
      });
    };
    wait();
    if (connection === undefined) login(state, mine);
    else use(connection.session, connection.host, mine);
  }

  function login(current: ClusterState, mine: number): void {
    const host = current.primary.id;
    const answer = (then: () => void) =>
      network.send(host, id, () => {
        if (mine === attempt) then();
      });
    network.send(id, host, () => {
      const instance = deps.instanceAt(host);
      if (instance === undefined) return answer(() => next(RETRY_MS));
      instance.login(session => {
        if (session === undefined) return answer(() => next(RETRY_MS));
        session.onClosed = () =>
          network.send(host, id, () => {
            if (connection?.session !== session) return;
            connection = undefined;
            next(RETRY_MS);
          });
        answer(() => {
          if (state?.generation !== current.generation) {
            next(0);
            return;
          }
          connection = { session, host, generation: current.generation };
          step();
        });
      });
    });
  }

  function use(session: Session, host: string, mine: number): void {
    const answered = () =>
      network.send(host, id, () => {
        if (mine === attempt) next(random.between(20, 300));
      });
    const askedAt = scheduler.now;
    if (random.chance(0.25)) {
      network.send(id, host, () => session.read(askedAt, answered));
      return;
    }
    const value = deps.nextValue();
    const overrides = random.chance(0.1);
    network.send(id, host, () => session.write(value, sizeOf(random), overrides, answered));
    if (random.chance(0.005))
      scheduler.after(random.between(1, 20), () => network.send(id, host, () => session.cancel()));
  }

  function reread(): void {
    look();
    scheduler.after(REREAD_MS, reread);
  }

  coordinator.watch(stateKey, look);
  reread();
  step();
}

/** Mostly rows; some documents; now and then more than a candidate may lag behind. */
function sizeOf(random: Random): number {
  if (random.chance(0.003)) return 8 * Math.floor(random.between(1e6, 4e6));
  return random.chance(0.05) ? 8 * Math.floor(random.between(1_000, 50_000)) : 8 * Math.floor(random.between(10, 60));
}
