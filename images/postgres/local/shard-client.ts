import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Coordinator, Operation, Transaction } from '../../../lib/coordinator/coordinator.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { ShardKeys } from '../../../lib/shard/keys.ts';
import {
  type Answer,
  type Bootstrap,
  type RequestKind,
  type ShardConfig,
  shardConfigSchema,
} from '../../../lib/shard/records.ts';
import { type ClusterState, clusterStateSchema } from '../../../lib/shard/state.ts';
import { emptyShardView, readShard, type ShardView } from '../shard-view.ts';

/** A state as the history keeps it, with the time it was written, for people. */
export interface HistoryEntry {
  readonly state: ClusterState;
  readonly at: string;
}

/** What the operator does with a shard in etcd: it reads everything and writes `request/`, `config` and `bootstrap`. */
export interface ShardClient {
  /** A linearizable read. Throws MantaError `CoordinatorUnavailable`. */
  read(): Promise<ShardView>;
  /** From the oldest that is kept to the newest. */
  history(): Promise<readonly HistoryEntry[]>;
  /** Writes `config` and `bootstrap` of a shard that has neither; does nothing to one that has. */
  create(config: ShardConfig, bootstrap: Bootstrap): Promise<void>;
  /** Changes `config`; a change in between is read and changed in turn. */
  configure(change: (config: ShardConfig) => ShardConfig): Promise<void>;
  /**
   * Makes a request (replication.md §6.6) for the present generation and resolves with what the peers answered. Throws
   * MantaError `RequestExpired` when they said nothing for 30 s, and `StateMissing` where there is no state to ask about.
   */
  request(kind: RequestKind, args?: Readonly<Record<string, unknown>>): Promise<Answer>;
}

const REQUEST_MS = 30_000;
const ASK_EVERY_MS = 50;
const CREATE_MS = 15_000;

/** `by`: who makes requests, for the peers' logs. */
export function createShardClient(coordinator: Coordinator, keys: ShardKeys, by: string): ShardClient {
  async function read(): Promise<ShardView> {
    const found = await coordinator.read(keys.prefix);
    return readShard(keys, { ...found, wentBack: false }, emptyShardView, performance.now(), () => {});
  }

  async function configure(change: (config: ShardConfig) => ShardConfig): Promise<void> {
    for (;;) {
      const { config } = await read();
      if (config === undefined) throw new MantaError('StateMissing', 'the shard has no configuration in etcd');
      const outcome = await coordinator.commit({
        compare: [{ key: keys.config, modRevision: config.modRevision }],
        operations: [{ put: keys.config, value: JSON.stringify(change(config.value)) }],
      });
      if (outcome.kind === 'committed') return;
      if (outcome.kind === 'unavailable') throw new MantaError('CoordinatorUnavailable', outcome.message);
    }
  }

  async function place(kind: RequestKind, args: Readonly<Record<string, unknown>>): Promise<string> {
    const { state } = await read();
    if (state === undefined && kind !== 'state-repair') {
      throw new MantaError('StateMissing', 'the shard has no valid state in etcd: the way out is state-repair');
    }
    const request = { id: randomUUID(), generation: state?.value.generation ?? 0, by, ...args };
    const { lease } = await coordinator.grantLease(REQUEST_MS);
    const put: Operation = { put: keys.request(kind), value: JSON.stringify(request), lease };
    const outcome = await coordinator.commit({ compare: [], operations: [put] });
    // An unknown one is waited for like any other: made twice it would be two requests.
    if (outcome.kind === 'unavailable') throw new MantaError('CoordinatorUnavailable', outcome.message);
    return request.id;
  }

  return {
    read,
    configure,
    async history() {
      const { entries } = await coordinator.read(keys.histories);
      return entries.map(({ value }) => {
        const parsed = JSON.parse(value) as { readonly at?: unknown };
        return { state: clusterStateSchema.parse(parsed), at: String(parsed.at) };
      });
    },
    async create(config, bootstrap) {
      const transaction: Transaction = {
        compare: [
          { key: keys.config, is: 'absent' },
          { key: keys.state, is: 'absent' },
        ],
        operations: [
          { put: keys.config, value: JSON.stringify(shardConfigSchema.parse(config)) },
          { put: keys.bootstrap, value: JSON.stringify(bootstrap) },
        ],
      };
      for (const until = performance.now() + CREATE_MS; ; await sleep(ASK_EVERY_MS)) {
        const outcome = await coordinator.commit(transaction);
        // An etcd that has just started may be slow; tried again, what was applied unnoticed is a conflict.
        if (outcome.kind === 'committed' || outcome.kind === 'conflict') return;
        if (performance.now() > until) throw new MantaError('CoordinatorUnavailable', outcome.message);
      }
    },
    async request(kind, args = {}) {
      const id = await place(kind, args);
      const until = performance.now() + REQUEST_MS;
      while (performance.now() < until) {
        // While etcd is away the answer may still come.
        const answer = await read().then(
          view => view.answer,
          () => undefined,
        );
        if (answer?.id === id && answer.outcome !== 'Pending') return answer;
        await sleep(ASK_EVERY_MS);
      }
      throw new MantaError('RequestExpired', `no peer answered the request ${kind} within ${REQUEST_MS / 1000} s`);
    },
  };
}
