import type { Logger } from 'pino';
import type {
  CommitOutcome,
  Comparison,
  Coordinator,
  Operation,
  Subscription,
} from '../../lib/coordinator/coordinator.ts';
import type { FollowedRead, PrefixView } from '../../lib/coordinator/follow-prefix.ts';
import type { Registration } from '../../lib/coordinator/registration.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import type { ShardKeys } from '../../lib/shard/keys.ts';
import type { ClusterState } from '../../lib/shard/state.ts';
import { brokenTransition } from '../../lib/shard/transition.ts';
import type { ShardStore } from './ports.ts';
import { emptyShardView, readShard, type ShardView } from './shard-view.ts';
import type { EtcdView } from './snapshot.ts';

/** The shard's prefix in etcd, followed. */
export interface FollowedShardStore extends ShardStore {
  /** Makes what is known by now the view, which then stands until the next call or `refresh`. */
  observe(): EtcdView;
  /** Called for every change under the prefix. */
  onChange(listener: () => void): Subscription;
}

export interface ShardStoreDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly coordinator: Pick<Coordinator, 'commit'>;
  /** Of `keys.prefix`. */
  readonly prefix: PrefixView;
  /** Of `keys.peer(id)`. */
  readonly registration: Registration;
}

const HISTORY_KEPT = 1_000;
/** More than the one that has become too old, for those that earlier prunings missed. */
const PRUNED_AT_ONCE = 20;

/**
 * The state and what belongs to it, read and written by the rules of replication.md §6.2.
 *
 * The view stands still while somebody acts on it, unless he asks for a new one by `refresh`: writes compare its revisions,
 * because what a decision was made from is what must still hold, and not what has become known since.
 */
export function createShardStore(
  { logger, clock, coordinator, prefix, registration }: ShardStoreDeps,
  { keys, id }: { readonly keys: ShardKeys; readonly id: string },
): FollowedShardStore {
  const ownKey = keys.peer(id);
  let read: FollowedRead | undefined;
  let parsed: ShardView = emptyShardView;
  let view: ShardView = emptyShardView;
  /** The registration under which a transaction was sent of which nothing is known. */
  let unsettled: number | undefined;
  const complained = new Set<string>();
  // Not only when asked: an absence is one of every read.
  prefix.onChange(look);

  function look(): void {
    const current = prefix.current();
    if (current === undefined || current === read) return;
    read = current;
    parsed = readShard(keys, current, parsed, clock.monotonic(), (key, modRevision, error) => {
      const complaint = `${key} ${modRevision}`;
      if (complained.has(complaint)) return;
      if (complained.size >= 1_000) complained.clear();
      complained.add(complaint);
      logger.warn({ key, err: error }, 'value in etcd ignored');
    });
  }

  function current(): EtcdView {
    const { stateModRevision: _, ...known } = view;
    return { ...known, registered: registration.createRevision(), unsettled: unsettled !== undefined };
  }

  function observe(): EtcdView {
    look();
    view = parsed;
    return current();
  }

  async function send(compare: readonly Comparison[], operations: readonly Operation[]): Promise<CommitOutcome> {
    const createRevision = registration.createRevision();
    if (createRevision === undefined) return { kind: 'unavailable', message: 'this peer is not registered' };
    if (unsettled !== undefined) {
      return { kind: 'unavailable', message: 'what became of an earlier transaction is not known yet' };
    }
    const outcome = await coordinator.commit({ compare: [{ key: ownKey, createRevision }, ...compare], operations });
    if (outcome.kind === 'unknown') {
      // The newest of several: those before it are gone for good.
      unsettled = Math.max(unsettled ?? 0, createRevision);
      logger.warn({ message: outcome.message }, 'nobody knows what became of a transaction');
    }
    return outcome;
  }

  /** On its own: whether it succeeds concerns nobody, and the next one makes up for it (§6.1). */
  function prune(seq: number): void {
    const createRevision = registration.createRevision();
    const newest = seq - HISTORY_KEPT;
    if (createRevision === undefined || newest < 1) return;
    const seqs = Array.from({ length: Math.min(PRUNED_AT_ONCE, newest) }, (_, back) => newest - back);
    void coordinator.commit({
      compare: [{ key: ownKey, createRevision }],
      operations: seqs.map(old => ({ delete: keys.history(old) })),
    });
  }

  return {
    keys,
    view: current,
    observe,
    async refresh() {
      await prefix.refresh();
      return observe();
    },
    onChange: listener => prefix.onChange(listener),

    async writeState(next, { compare = [], operations = [] } = {}) {
      const before = view.state;
      refuseBroken(view, next);
      const outcome = await send(
        [
          compareRevision(keys.state, view.stateModRevision),
          ...(before?.value.generation === next.generation
            ? []
            : [compareRevision(keys.config, view.config?.modRevision)]),
          ...compare,
        ],
        [
          { put: keys.state, value: JSON.stringify(next) },
          { put: keys.history(next.seq), value: JSON.stringify({ ...next, at: new Date(clock.now()).toISOString() }) },
          ...operations,
        ],
      );
      if (outcome.kind === 'committed') prune(next.seq);
      const { seq, generation, cause } = next;
      logger.info({ outcome: outcome.kind, seq, generation, cause, primary: next.primary.id }, 'state written');
      return outcome;
    },

    commit: send,

    async settle() {
      if (unsettled !== undefined) {
        // With the creation revision it compared gone for good, a transaction that is still on its way can only fail.
        const outcome = await coordinator.commit({
          compare: [{ key: ownKey, createRevision: unsettled }],
          operations: [{ delete: ownKey }],
        });
        if (outcome.kind === 'unknown' || outcome.kind === 'unavailable') {
          throw new MantaError('CoordinatorUnavailable', `not settled: ${outcome.message}`);
        }
      }
      await registration.update();
      await prefix.refresh();
      unsettled = undefined;
      logger.info('what became of all transactions is known');
    },
  };
}

function compareRevision(key: string, modRevision: number | undefined): Comparison {
  return modRevision === undefined ? { key, is: 'absent' } : { key, modRevision };
}

function refuseBroken(view: ShardView, next: ClusterState): void {
  // Over what cannot be read only a repair may write; it raises what the volume remembers (§13).
  const unreadable = next.cause === 'state-repair' ? undefined : view.stateInvalid;
  const broken = unreadable ?? brokenTransition(view.state?.value, next);
  if (broken !== undefined) throw new MantaError('StateInvalid', `this state is not to be written: ${broken}`);
}
