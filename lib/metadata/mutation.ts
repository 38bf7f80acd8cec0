import { MantaError } from '../errors/manta-error.ts';
import { headersForRow, md5ForRow } from './entry.ts';
import { isRootPlace, placeOfDirectory, sha256, vnodeOf } from './path.ts';
import type { DirPath, Entry, Expect, MetadataPatch, NewObject, Place, Rev } from './types.ts';

/** One row of `mutation_v1`, ready to be sent: once, or again with the same ids while its outcome is unknown. */
export interface Mutation {
  readonly vnode: number;
  /** Identifies the name: a batch holds it once. */
  readonly key: string;
  readonly place: Place;
  readonly rev: Rev;
  /** The row as a JSON object. */
  readonly json: string;
  /** The row for a repeat while the outcome is unknown: it must not touch what others have written since. */
  readonly repeatJson: string;
}

/** What a function of the schema says about one row. */
export interface Outcome {
  readonly result: string;
  readonly rev: Rev | null;
  readonly mtimeMs: number | null;
}

/** The columns that address an entry; `root_path` only where the directory may come into being by itself. */
export function addressColumns(dir: DirPath): { vnode: number; path_hash: string; root_path: string | null } {
  return {
    vnode: vnodeOf(dir),
    path_hash: `\\x${sha256(dir).toString('hex')}`,
    root_path: mayBeImplicit(dir) ? dir : null,
  };
}

/** `/<owner>` and `/<owner>/<root>` exist without an entry. */
export function mayBeImplicit(dir: DirPath): boolean {
  return dir.lastIndexOf('/') === 0 || isRootPlace(placeOfDirectory(dir));
}

/** `expect` and `expect_rev` of a row. */
export function expectColumns(expect: Expect): { expect: 'a' | 'n' | 'r'; expect_rev: Rev | null } {
  if (expect.kind === 'rev') return { expect: 'r', expect_rev: expect.rev };
  return { expect: expect.kind === 'absent' ? 'n' : 'a', expect_rev: null };
}

/** `deadline`: epoch milliseconds after which the database refuses to commit it. */
export function putMutation(place: Place, object: NewObject, expect: Expect, rev: Rev, deadline: number): Mutation {
  return mutation(place, rev, {
    op: 'p',
    owner: object.owner,
    creator: object.creator,
    ...expectColumns(expect),
    deadline: new Date(deadline).toISOString(),
    object_id: object.objectId,
    content_length: object.sizeBytes,
    content_md5: md5ForRow(object.md5),
    content_type: object.contentType,
    content_disposition: object.contentDisposition ?? null,
    headers: headersForRow(object.headers),
    roles: object.roles,
    copies: object.copies,
  });
}

/** Without a guard it changes whatever version stands there, of the kind that was seen. */
export function updateMutation(
  place: Place,
  patch: MetadataPatch,
  seen: Pick<Entry, 'kind' | 'rev'>,
  expect: Expect,
  rev: Rev,
): Mutation {
  return changeMutation(place, rev, seen.rev, expect, seen.kind === 'object' ? 'o' : 'd', {
    op: 'u',
    content_type: patch.contentType ?? null,
    content_disposition: patch.contentDisposition ?? null,
    headers: headersForRow(patch.headers),
    roles: patch.roles,
  });
}

/** `rev` names the operation only. */
export function deleteMutation(place: Place, seen: Rev, expect: Expect, rev: Rev): Mutation {
  return changeMutation(place, rev, seen, expect, 'o', { op: 'd' });
}

/**
 * A change of what is there. A repeat is tied to the version seen, guard or not: any other version was written while
 * this operation was under way, and is ordered after it.
 */
function changeMutation(
  place: Place,
  rev: Rev,
  seen: Rev,
  expect: Expect,
  kind: 'o' | 'd',
  columns: Readonly<Record<string, unknown>>,
): Mutation {
  const repeat = mutation(place, rev, { ...columns, expect: kind, expect_rev: seen });
  if (expect.kind !== 'any') return repeat;
  return { ...mutation(place, rev, { ...columns, expect: kind, expect_rev: null }), repeatJson: repeat.json };
}

function mutation(place: Place, rev: Rev, columns: Readonly<Record<string, unknown>>): Mutation {
  const address = addressColumns(place.dir);
  const json = JSON.stringify({ ...address, name: place.name, rev, ...columns });
  return {
    vnode: address.vnode,
    key: `${place.dir}/${place.name}`,
    place,
    rev,
    json,
    repeatJson: json,
  };
}

/** Several rows as one argument of `mutate_v1`, numbered in their order. */
export function batchJson(rows: readonly Mutation[]): string {
  return `[${rows.map((row, i) => `{"ord":${i},${row.json.slice(1)}`).join(',')}]`;
}

/** An outcome's rev and mtime, which results that say `unchanged`, `created` and the like always carry. */
export function written(outcome: Outcome): { rev: Rev; mtimeMs: number } {
  if (outcome.rev === null || outcome.mtimeMs === null) {
    throw new MantaError('InternalError', `the database answered ${outcome.result} without a version`);
  }
  return { rev: outcome.rev, mtimeMs: outcome.mtimeMs };
}
