import { DatabaseError } from '../database/failure.ts';
import { MantaError } from '../errors/manta-error.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { jittered, pause } from './backoff.ts';
import type { MetadataConfig } from './config.ts';
import type { Directories } from './directories.ts';
import { headersForRow, md5ForRow } from './entry.ts';
import { addressColumns } from './mutation.ts';
import { newRev, sha256, vnodeOf } from './path.ts';
import type { Reads } from './reads.ts';
import type { Router } from './router.ts';
import type { CallOptions, LinkResult, ObjectEntry, Place, Rev, Uuid } from './types.ts';

/** Second names for objects. metadata.md §8.4. */
export interface Links {
  link(
    source: Place,
    seen: ObjectEntry,
    target: Place,
    attributes: { readonly owner: Uuid; readonly roles: readonly Uuid[] },
    options: CallOptions,
  ): Promise<LinkResult>;
}

interface Vnodes {
  readonly home: number;
  readonly source: number;
  readonly target: number;
}

/** One link of one version of the source; repeats keep all of it. */
interface Link {
  readonly vnodes: Vnodes;
  readonly opId: Rev;
  readonly objectId: Uuid;
  readonly target: Place;
  json(repeated: boolean): string;
}

interface Answer {
  readonly result: string;
  readonly mtimeMs: number | null;
}

const SOURCE_READS = 3;

export function createLinks(
  deps: { router: Router; reads: Reads; directories: Directories; clock: Clock; random: () => number },
  config: Pick<MetadataConfig, 'operationMs' | 'unsettledMs'>,
): Links {
  const { router } = deps;

  /** Sends one of the link functions; `repeated` tells it to ask the outbox about an earlier attempt. */
  async function send(vnode: number, text: string, link: Link, options: CallOptions): Promise<Answer> {
    return router.route(vnode, options, async (shard, attempt) => {
      const rows = await shard.pool.query<{ result: string; mtime_ms: number | null }>(
        text,
        [link.json(attempt.repeated)],
        attempt.options,
      );
      return { result: rows[0]?.result ?? '', mtimeMs: rows[0]?.mtime_ms ?? null };
    });
  }

  async function isOneShard(vnodes: Vnodes, options: CallOptions): Promise<boolean> {
    const home = await router.shardOf(vnodes.home, options.signal);
    return (
      (await router.shardOf(vnodes.source, options.signal)) === home &&
      (await router.shardOf(vnodes.target, options.signal)) === home
    );
  }

  async function attempt(link: Link, options: CallOptions): Promise<Answer> {
    if (await isOneShard(link.vnodes, options)) {
      return send(link.vnodes.target, 'SELECT result, mtime_ms FROM link_v1($1)', link, options);
    }
    // The ledger knows both names before the linked entry exists, and keeps them if a later step fails.
    await send(link.vnodes.home, 'SELECT link_register_v1($1)', link, options);
    const flagged = await router.route(link.vnodes.source, options, async (shard, { options: rest }) =>
      shard.pool.query<{ same: boolean }>('SELECT link_unflag_v1($1) AS same', [link.json(false)], rest),
    );
    if (flagged[0]?.same !== true) return { result: 'source_changed', mtimeMs: null };
    return send(link.vnodes.target, 'SELECT result, mtime_ms FROM link_put_v1($1)', link, options);
  }

  /** Informational, so its failure is nobody's. */
  function settleLedger(link: Link): void {
    router
      .route(link.vnodes.home, { deadlineMs: 5_000 }, (shard, { options }) =>
        shard.pool.query('SELECT link_settle_v1($1, $2, $3)', [link.vnodes.home, link.objectId, link.opId], options),
      )
      .catch(() => {});
  }

  /** Repairs the target's directory where that is what stands in the way. */
  async function attemptWithRepairs(link: Link, options: CallOptions): Promise<Answer> {
    const started = deps.clock.monotonic();
    for (;;) {
      const answer = await attempt(link, options);
      if (answer.result !== 'unsettled' && answer.result !== 'no_directory') return answer;
      if (!(await deps.directories.repair(link.target.dir, options))) return { ...answer, result: 'no_directory' };
      if (deps.clock.monotonic() - started > config.unsettledMs) {
        throw new MantaError('ServiceUnavailable', 'another operation on the directory does not come to an end');
      }
      await pause(jittered(10, deps.random), options.signal);
    }
  }

  return {
    async link(source, seen, target, attributes, options) {
      if (source.dir === target.dir && source.name === target.name) {
        return { kind: 'unchanged', mtimeMs: seen.mtimeMs };
      }
      let current = seen;
      for (let read = 0; read < SOURCE_READS; read += 1) {
        const link = linkOf(source, current, target, attributes, deps.clock.now(), config.operationMs);
        try {
          const answer = await attemptWithRepairs(link, options);
          if (answer.result !== 'source_changed') {
            if (answer.mtimeMs !== null) settleLedger(link);
            return resultOf(answer);
          }
        } catch (error) {
          if (error instanceof DatabaseError && error.sqlState === 'MR003') return { kind: 'source_gone' };
          throw error;
        }
        const again = await deps.reads.get(source, options);
        if (again?.kind !== 'object') return { kind: 'source_gone' };
        current = again;
      }
      return { kind: 'source_gone' };
    },
  };
}

function linkOf(
  source: Place,
  seen: ObjectEntry,
  target: Place,
  attributes: { readonly owner: Uuid; readonly roles: readonly Uuid[] },
  now: number,
  operationMs: number,
): Link {
  const vnodes = { home: vnodeOf(`object:${seen.objectId}`), source: vnodeOf(source.dir), target: vnodeOf(target.dir) };
  const opId = newRev();
  const address = addressColumns(target.dir);
  const columns = {
    object_id: seen.objectId,
    op_id: opId,
    deadline: new Date(now + operationMs).toISOString(),
    began: new Date(now - CLOCK_BOUND_MS).toISOString(),
    home_vnode: vnodes.home,
    source_vnode: vnodes.source,
    source_hash: hex(source.dir),
    source_name: source.name,
    source_path: pathOf(source),
    source_path_hash: hex(pathOf(source)),
    source_rev: seen.rev,
    target_vnode: vnodes.target,
    target_hash: address.path_hash,
    target_root_path: address.root_path,
    target_name: target.name,
    target_path: pathOf(target),
    target_path_hash: hex(pathOf(target)),
    owner: attributes.owner,
    roles: attributes.roles,
    creator: seen.creator,
    etag: seen.etag === seen.objectId ? null : seen.etag,
    content_length: seen.sizeBytes,
    content_md5: md5ForRow(seen.md5),
    content_type: seen.contentType,
    content_disposition: seen.contentDisposition ?? null,
    headers: headersForRow(seen.headers),
    copies: seen.copies,
  };
  return {
    vnodes,
    opId,
    objectId: seen.objectId,
    target,
    json: repeated => JSON.stringify({ ...columns, repeated }),
  };
}

/** ε of metadata.md §8.4: how far the clocks of two hosts may be apart. */
const CLOCK_BOUND_MS = 5_000;

function resultOf(answer: Answer): LinkResult {
  switch (answer.result) {
    case 'created':
    case 'replaced':
    case 'unchanged':
      return { kind: answer.result, mtimeMs: answer.mtimeMs ?? 0 };
    case 'superseded':
    case 'no_directory':
    case 'is_directory':
    case 'expired':
      return { kind: answer.result };
    default:
      throw new MantaError('InternalError', `the database answered ${answer.result}`);
  }
}

function pathOf(place: Place): string {
  return `${place.dir}/${place.name}`;
}

function hex(text: string): string {
  return `\\x${sha256(text).toString('hex')}`;
}
