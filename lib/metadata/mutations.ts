import { DatabaseError } from '../database/failure.ts';
import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { doubling, jittered, pause } from './backoff.ts';
import type { MetadataConfig } from './config.ts';
import type { Directories } from './directories.ts';
import type { MetadataMetrics } from './metrics.ts';
import { deleteMutation, type Mutation, type Outcome, putMutation, updateMutation, written } from './mutation.ts';
import { newRev } from './path.ts';
import type { Reads } from './reads.ts';
import type { Router } from './router.ts';
import type {
  CallOptions,
  DeleteResult,
  Entry,
  Expect,
  MetadataPatch,
  NewObject,
  Place,
  PutResult,
  Rev,
  UpdateResult,
} from './types.ts';

/** Mutations of one entry, through the shard's batches. metadata.md §12.7, §12.16. */
export interface Mutations {
  putObject(place: Place, object: NewObject, expect: Expect, options: CallOptions): Promise<PutResult>;
  updateMetadata(
    place: Place,
    patch: MetadataPatch,
    seen: Pick<Entry, 'kind' | 'rev'>,
    expect: Expect,
    options: CallOptions,
  ): Promise<UpdateResult>;
  deleteObject(place: Place, seen: Rev, expect: Expect, options: CallOptions): Promise<DeleteResult>;
}

/** `repeated`: an earlier attempt may have been committed. */
interface Settled {
  readonly outcome: Outcome;
  readonly repeated: boolean;
}

/** Milliseconds for looking at what stands under the name after a deadline has passed. */
const READ_BACK_MS = 2_000;

export function createMutations(
  deps: {
    router: Router;
    reads: Reads;
    directories: Directories;
    clock: Clock;
    random: () => number;
    metrics: MetadataMetrics;
  },
  config: Pick<MetadataConfig, 'operationMs' | 'unsettledMs'>,
): Mutations {
  async function mutate(mutation: Mutation, options: CallOptions): Promise<Settled> {
    const shard = await deps.router.shardOf(mutation.vnode, options.signal);
    const first = await shard.batches.submit(mutation, options.signal);
    if (first.kind === 'settled') return { outcome: first.outcome, repeated: false };
    deps.metrics.sentAlone(shard.pool.name);
    return alone(mutation, first.repeated, options);
  }

  /** By itself it may wait for locks; what it finds half done it settles first. */
  async function alone(mutation: Mutation, repeated: boolean, options: CallOptions): Promise<Settled> {
    const started = deps.clock.monotonic();
    let unknown = repeated;
    for (let round = 0; ; round += 1) {
      const outcome = await deps.router.route(
        mutation.vnode,
        { ...options, repeated: unknown },
        async (shard, attempt) => {
          unknown = attempt.repeated;
          const rows = await shard.pool.query<{ result: string; rev: Rev | null; mtime_ms: number | null }>(
            'SELECT result, rev, mtime_ms FROM mutate_one_v1($1)',
            [attempt.repeated ? mutation.repeatJson : mutation.json],
            attempt.options,
          );
          const row = rows[0];
          if (row === undefined) throw new MantaError('InternalError', 'a mutation had no result');
          return { result: row.result, rev: row.rev, mtimeMs: row.mtime_ms };
        },
      );
      const waits = outcome.result === 'unsettled' || outcome.result === 'no_directory';
      if (!waits) return { outcome, repeated: unknown };
      if (!(await deps.directories.repair(mutation.place.dir, options))) {
        return { outcome: { ...outcome, result: 'no_directory' }, repeated: unknown };
      }
      if (deps.clock.monotonic() - started > config.unsettledMs) {
        throw new MantaError('ServiceUnavailable', 'another operation on the directory does not come to an end');
      }
      await pause(jittered(doubling(round, 2, 50), deps.random), options.signal);
    }
  }

  return {
    async putObject(place, object, expect, options) {
      const rev = newRev();
      const mutation = putMutation(place, object, expect, rev, deps.clock.now() + config.operationMs);
      try {
        const { outcome, repeated } = await mutate(mutation, options);
        if (outcome.result !== 'expired' || !repeated) return putResult(outcome);
        throw new DatabaseError('unknown', 'the deadline passed with the outcome unknown');
      } catch (error) {
        // The last word on an unknown outcome is what stands there now.
        if (!(error instanceof DatabaseError && error.kind === 'unknown')) throw error;
        const entry = await deps.reads.get(place, { deadlineMs: READ_BACK_MS }).catch(() => undefined);
        if (entry?.rev !== rev) throw error;
        return { kind: 'unchanged', rev, mtimeMs: entry.mtimeMs };
      }
    },

    async updateMetadata(place, patch, seen, expect, options) {
      const mutation = updateMutation(place, patch, seen, expect, newRev());
      const { outcome, repeated } = await mutate(mutation, options);
      switch (outcome.result) {
        case 'updated':
          return { kind: 'updated', ...written(outcome) };
        case 'precondition':
        case 'absent':
        case 'no_directory':
          // Ours may have come first and been overwritten or deleted since.
          if (repeated) return { kind: 'updated', rev: mutation.rev, mtimeMs: deps.clock.now() };
          return { kind: outcome.result === 'precondition' ? 'precondition' : 'absent' };
        default:
          throw unexpected(outcome);
      }
    },

    async deleteObject(place, seen, expect, options) {
      const { outcome, repeated } = await mutate(deleteMutation(place, seen, expect, newRev()), options);
      switch (outcome.result) {
        case 'deleted':
        case 'is_directory':
          return { kind: repeated ? 'deleted' : outcome.result };
        case 'precondition':
        case 'absent':
        case 'no_directory':
          if (repeated) return { kind: 'deleted' };
          return { kind: outcome.result === 'precondition' ? 'precondition' : 'absent' };
        default:
          throw unexpected(outcome);
      }
    },
  };
}

function putResult(outcome: Outcome): PutResult {
  switch (outcome.result) {
    case 'created':
    case 'replaced':
    case 'unchanged':
      return { kind: outcome.result, ...written(outcome) };
    case 'superseded':
    case 'no_directory':
    case 'is_directory':
    case 'precondition':
    case 'expired':
      return { kind: outcome.result };
    default:
      throw unexpected(outcome);
  }
}

function unexpected(outcome: Outcome): MantaError {
  return new MantaError('InternalError', `the database answered ${outcome.result}`);
}
