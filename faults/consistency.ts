import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { childrenOf } from '../lib/metadata/path.ts';
import type { DirPath } from '../lib/metadata/types.ts';

/** The databases and volumes of a region on one machine, as its owner may look at them. */
export interface Insides {
  readonly index: readonly pg.Client[];
  readonly control: pg.Client;
  /** State directory of the region; volumes are `storage/<n>`. */
  readonly dir: string;
}

/**
 * Looks past the API for what must never be: children without their directory, live permits without an entry, entries
 * whose bytes are missing or short on a node that is recorded as holding them, temporary files of uploads. The region
 * must be idle. One sentence per finding.
 */
export async function inconsistencies(insides: Insides): Promise<string[]> {
  const [namespace, bytes, temporaries] = await Promise.all([
    checkNamespace(insides),
    checkBytes(insides),
    checkTemporaries(insides.dir),
  ]);
  return [...namespace, ...bytes, ...temporaries];
}

interface EntryRow {
  parent: DirPath;
  name: string;
  child_dir: string | null;
}

/** Orphans and stray permits, joined here because a directory and its children lie in different databases. */
export async function checkNamespace({ index }: Pick<Insides, 'index'>): Promise<string[]> {
  const directories: { path: string; dir_id: string; implicit: boolean; state: string; children: string }[] = [];
  const entries = new Map<string, string>();
  for (const shard of index) {
    const rows = await shard.query(
      `SELECT d.path, d.dir_id, d.implicit, d.state,
              (SELECT count(*) FROM entry e WHERE e.vnode = d.vnode AND e.dir_id = d.dir_id) AS children
         FROM directory d`,
    );
    directories.push(...rows.rows);
    const found = await shard.query<EntryRow>(
      `SELECT d.path AS parent, e.name, e.child_dir FROM entry e JOIN directory d USING (vnode, dir_id) WHERE e.kind = 'd'`,
    );
    for (const row of found.rows) {
      entries.set(childrenOf({ dir: row.parent, name: row.name }), row.child_dir as string);
    }
  }
  const problems: string[] = [];
  for (const { path, dir_id, implicit, state, children } of directories) {
    const exists = implicit || entries.get(path) === dir_id;
    if (!exists && Number(children) > 0) problems.push(`${path}: ${children} orphaned entries`);
    if (!exists && state === 'live') problems.push(`${path}: a live permit without an entry`);
  }
  return problems;
}

async function checkBytes({ index, control, dir }: Insides): Promise<string[]> {
  const nodes = await control.query<{ node_no: number; storage_id: string }>(
    'SELECT node_no, storage_id FROM storage_node',
  );
  const volumes = new Map(nodes.rows.map(node => [node.node_no, volumeOf(dir, node.storage_id)]));
  const problems: string[] = [];
  for (const shard of index) {
    const { rows } = await shard.query<{
      name: string;
      creator: string;
      object_id: string;
      content_length: string;
      copies: number[];
    }>(`SELECT name, creator, object_id, content_length, copies FROM entry WHERE kind = 'o'`);
    for (const row of rows) {
      for (const copy of row.copies) {
        const file = join(volumes.get(copy) ?? '', row.creator, row.object_id);
        const size = await stat(file).then(
          found => found.size,
          () => undefined,
        );
        if (size !== Number(row.content_length)) {
          problems.push(`${row.name}: ${file} has ${size ?? 'no'} bytes, the entry says ${row.content_length}`);
        }
      }
    }
  }
  return problems;
}

export async function checkTemporaries(dir: string): Promise<string[]> {
  const problems: string[] = [];
  for (const volume of await readdir(join(dir, 'storage'))) {
    for (const name of await readdir(join(dir, 'storage', volume, 'tmp'))) {
      problems.push(`storage ${volume}: temporary file ${name}`);
    }
  }
  return problems;
}

/** The volume of storage node `<n>.stor.<domain>`. */
export function volumeOf(dir: string, storageId: string): string {
  return join(dir, 'storage', storageId.split('.')[0] ?? '');
}
