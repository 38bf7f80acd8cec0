import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { jittered, pause } from './backoff.ts';
import type { MetadataConfig } from './config.ts';
import * as protocol from './directory-protocol.ts';
import { headersForRow } from './entry.ts';
import type { MetadataMetrics } from './metrics.ts';
import { addressColumns, expectColumns, mayBeImplicit, written } from './mutation.ts';
import { childrenOf, newRev, newUuid, ownerOf, placeOfDirectory, sha256, vnodeOf } from './path.ts';
import type { Reads } from './reads.ts';
import type { Router } from './router.ts';
import type {
  CallOptions,
  DirectoryAttributes,
  DirPath,
  Entry,
  Expect,
  MkdirResult,
  Place,
  Rev,
  RmdirResult,
  Uuid,
} from './types.ts';

/** Creating, removing and repairing directories. metadata.md §12.8. */
export interface Directories {
  /** `always` writes even what would change nothing but role tags. The answer carries the entry's version. */
  mkdir(
    place: Place,
    attributes: DirectoryAttributes,
    expect: Expect,
    always: boolean,
    options: CallOptions,
  ): Promise<MkdirResult & { readonly rev?: Rev }>;
  rmdir(place: Place, expect: Expect, options: CallOptions): Promise<RmdirResult>;
  /** For a call that found no live row for `dir`. False when there is no such directory. */
  repair(dir: DirPath, options: CallOptions): Promise<boolean>;
}

interface PutRow {
  readonly result: string;
  readonly child_dir: string | null;
  readonly rev: Rev | null;
  readonly mtime_ms: number | null;
}

interface Subject {
  readonly place: Place;
  readonly path: DirPath;
  readonly owner: Uuid;
  readonly options: CallOptions;
}

/** What a run of the protocol needs besides its subject; `last` keeps the answer of the put that decided. */
interface Run extends Subject {
  readonly putJson?: (dirId: string, mustExist: boolean) => string;
  readonly expect?: Expect;
  readonly until: number;
  last?: PutRow;
}

const DONE = new Set(['created', 'replaced', 'unchanged']);

export function createDirectories(
  deps: { router: Router; reads: Reads; clock: Clock; random: () => number; metrics: MetadataMetrics },
  config: Pick<MetadataConfig, 'unsettledMs'>,
): Directories {
  const { router } = deps;

  function subject(place: Place, options: CallOptions): Subject & { until: number } {
    const path = childrenOf(place);
    return { place, path, owner: ownerOf(path), options, until: deps.clock.monotonic() + config.unsettledMs };
  }

  async function drive<T>(steps: protocol.Steps<T>, run: Run): Promise<T> {
    let next = steps.next();
    while (!next.done) next = steps.next(await perform(next.value, run));
    return next.value;
  }

  /** One step on the children's shard: a function whose first arguments are vnode and the path's hash. */
  async function onChildren<T>(run: Run, text: string, params: readonly unknown[]): Promise<T> {
    const vnode = vnodeOf(run.path);
    return router.route(vnode, run.options, async (shard, attempt) => {
      const rows = await shard.pool.query<{ answer: T }>(text, [vnode, ...params], attempt.options);
      return (rows[0] as { answer: T }).answer;
    });
  }

  async function perform(step: protocol.Step, run: Run): Promise<protocol.StepAnswer> {
    const hash = sha256(run.path);
    switch (step.step) {
      case 'claim':
        return onChildren(run, 'SELECT directory_claim_v1($1, $2, $3, $4, $5, $6, $7) AS answer', [
          hash,
          run.path,
          run.owner,
          step.dirId,
          step.attempt,
          step.refresh,
        ]);
      case 'promote':
        return onChildren(run, 'SELECT directory_promote_v1($1, $2, $3) AS answer', [step.dirId, step.attempt]);
      case 'withdraw':
        return onChildren(run, 'SELECT directory_withdraw_v1($1, $2, $3) AS answer', [step.dirId, step.attempt]);
      case 'mark': {
        const answer = await onChildren<{ result: string; row?: protocol.DirectoryRow }>(
          run,
          'SELECT directory_mark_v1($1, $2, $3, $4, $5, $6) AS answer',
          [hash, run.path, run.owner, step.dirId, step.attempt],
        );
        if (answer.row !== undefined) return { kind: 'other', row: answer.row };
        return { kind: answer.result === 'marked' ? 'marked' : 'not_empty' };
      }
      case 'forget':
        await onChildren(run, 'SELECT directory_forget_v1($1, $2) AS answer', [step.dirId]);
        return undefined;
      case 'look':
        return (
          (await onChildren<protocol.DirectoryRow | null>(run, 'SELECT directory_look_v1($1, $2) AS answer', [hash])) ??
          undefined
        );
      case 'explicit':
        await onChildren(run, 'SELECT directory_explicit_v1($1, $2) AS answer', [step.dirId]);
        return undefined;
      case 'read':
        return sightOf(await deps.reads.get(run.place, run.options), run.expect);
      case 'put':
        return put(run, step.dirId, step.mustExist);
      case 'remove':
        return remove(run, step.dirId);
      case 'wait':
        if (deps.clock.monotonic() > run.until) return false;
        await pause(jittered(20, deps.random), run.options.signal);
        return true;
    }
  }

  async function put(run: Run, dirId: string, mustExist: boolean): Promise<protocol.PutAnswer> {
    const json = run.putJson?.(dirId, mustExist);
    const { dir } = run.place;
    const vnode = vnodeOf(dir);
    for (;;) {
      const row = await router.route(vnode, run.options, async (shard, attempt) => {
        const text = 'SELECT result, child_dir, rev, mtime_ms FROM put_directory_v1($1)';
        return (await shard.pool.query<PutRow>(text, [json], attempt.options))[0] as PutRow;
      });
      if (DONE.has(row.result) && row.child_dir !== null) {
        run.last = row;
        return { kind: 'written', childDir: row.child_dir };
      }
      if (row.result === 'precondition' || row.result === 'absent') return { kind: row.result };
      // The parent has no live row: half made, half removed, or not there.
      if (!(await repair(dir, run.options))) return { kind: 'no_directory' };
      if (deps.clock.monotonic() > run.until) throw busy();
      await pause(jittered(5, deps.random), run.options.signal);
    }
  }

  async function remove(run: Run, dirId: string): Promise<boolean> {
    const vnode = vnodeOf(run.place.dir);
    return router.route(vnode, run.options, async (shard, attempt) => {
      const rows = await shard.pool.query<{ removed: boolean }>(
        'SELECT remove_directory_entry_v1($1, $2, $3, $4) AS removed',
        [vnode, sha256(run.place.dir), run.place.name, dirId],
        attempt.options,
      );
      // A repeat that finds nothing: our first attempt removed it, or somebody did after it could have.
      return rows[0]?.removed === true || attempt.repeated;
    });
  }

  async function repair(dir: DirPath, options: CallOptions): Promise<boolean> {
    if (dir.lastIndexOf('/') === 0) return true;
    deps.metrics.unsettled();
    return drive(protocol.repair(newUuid), subject(placeOfDirectory(dir), options));
  }

  async function mkdir(
    place: Place,
    attributes: DirectoryAttributes,
    expect: Expect,
    always: boolean,
    options: CallOptions,
  ): Promise<MkdirResult & { readonly rev?: Rev }> {
    const base = subject(place, options);
    const rev = newRev();
    const columns = {
      ...addressColumns(place.dir),
      name: place.name,
      owner: attributes.owner,
      creator: attributes.creator,
      rev,
      headers: headersForRow(attributes.headers),
      roles: attributes.roles,
      ...expectColumns(expect),
      child_vnode: vnodeOf(base.path),
      child_hash: `\\x${sha256(base.path).toString('hex')}`,
      child_path: base.path,
      always,
    };
    const putJson = (dirId: string, mustExist: boolean) =>
      JSON.stringify({ ...columns, child_dir: dirId, attempt: newUuid(), must_exist: mustExist });
    const run: Run = { ...base, putJson };

    const json = putJson(newUuid(), false);
    const one = await onOneShard(run, async (shard, attempt) => {
      const text = 'SELECT result, child_dir, rev, mtime_ms FROM mkdir_v1($1)';
      return (await shard.pool.query<PutRow>(text, [json], attempt.options))[0] as PutRow;
    });
    if (one !== undefined && one.result === 'precondition') return { kind: 'precondition' };
    if (one !== undefined && DONE.has(one.result)) return answerOf(one);
    if (one?.result === 'no_directory' && !(await repair(place.dir, options))) return { kind: 'no_directory' };
    const end = await drive(protocol.mkdir(newUuid, mayBeImplicit(base.path)), run);
    if (end === 'busy') throw busy();
    if (end !== 'done') return { kind: end };
    return answerOf(run.last as PutRow);
  }

  /** The body's answer when both sides are on one shard, which makes the operation one transaction; else undefined. */
  async function onOneShard<T>(run: Run, body: Parameters<typeof router.route<T>>[2]): Promise<T | undefined> {
    const parent = vnodeOf(run.place.dir);
    const children = vnodeOf(run.path);
    return router.route<T | undefined>(children, run.options, async (shard, attempt) => {
      if ((await router.shardOf(parent, run.options.signal)) !== shard) return undefined;
      return body(shard, attempt);
    });
  }

  async function rmdir(place: Place, expect: Expect, options: CallOptions): Promise<RmdirResult> {
    const run: Run = { ...subject(place, options), expect };
    const columns = expectColumns(expect);
    const one = await onOneShard(run, async (shard, attempt) => {
      const rows = await shard.pool.query<{ result: string }>(
        'SELECT rmdir_v1($1, $2, $3, $4, $5, $6, $7) AS result',
        [
          vnodeOf(place.dir),
          sha256(place.dir),
          place.name,
          vnodeOf(run.path),
          sha256(run.path),
          columns.expect,
          columns.expect_rev,
        ],
        attempt.options,
      );
      const result = rows[0]?.result;
      return attempt.repeated && (result === 'absent' || result === 'precondition') ? 'deleted' : result;
    });
    if (one !== undefined && one !== 'unsettled') return { kind: one as RmdirResult['kind'] };
    const end = await drive(protocol.rmdir(newUuid), run);
    if (end === 'busy') throw busy();
    return { kind: end };
  }

  return { mkdir, rmdir, repair };
}

function sightOf(entry: Entry | undefined, expect: Expect | undefined): protocol.EntrySight {
  if (entry === undefined) return { kind: 'none' };
  if (entry.kind === 'object') return { kind: 'object' };
  const expected = expect === undefined || expect.kind === 'any' || (expect.kind === 'rev' && expect.rev === entry.rev);
  return { kind: 'directory', childDir: entry.childDir, expected };
}

function answerOf(row: PutRow): MkdirResult & { readonly rev: Rev } {
  return { kind: row.result as 'created' | 'replaced' | 'unchanged', ...written({ ...row, mtimeMs: row.mtime_ms }) };
}

function busy(): MantaError {
  return new MantaError('ServiceUnavailable', 'another operation on this directory does not come to an end');
}
