import type { MetadataConfig } from './config.ts';
import { type EntryRow, entryFromRow, type ListItem, listedFromItem } from './entry.ts';
import { sha256, vnodeOf } from './path.ts';
import type { Router } from './router.ts';
import type { CallOptions, DirPath, Entry, ListPage, ListQuery, Place } from './types.ts';

/** Reads of one directory, each one round trip to its primary. */
export interface Reads {
  get(place: Place, options: CallOptions): Promise<Entry | undefined>;
  getForWrite(place: Place, options: CallOptions): Promise<{ entry: Entry | undefined; siblings: number }>;
  list(dir: DirPath, query: ListQuery, options: CallOptions): Promise<ListPage>;
}

export function createReads(deps: { router: Router }, config: Pick<MetadataConfig, 'readMs'>): Reads {
  /** Sends a function whose first arguments are the directory's vnode and hash, and gives its only row. */
  function ask<Row extends Record<string, unknown>>(
    dir: DirPath,
    text: string,
    params: readonly unknown[],
    options: CallOptions,
  ): Promise<Row> {
    const vnode = vnodeOf(dir);
    return deps.router.route(vnode, { deadlineMs: config.readMs, ...options }, async (shard, attempt) => {
      const rows = await shard.pool.query<Row>(text, [vnode, sha256(dir), ...params], attempt.options);
      return rows[0] as Row;
    });
  }

  async function fetch(
    place: Place,
    count: boolean,
    options: CallOptions,
  ): Promise<{ entry: Entry | undefined; siblings: number }> {
    const row = await ask<{ entry: EntryRow | null; siblings: number }>(
      place.dir,
      'SELECT entry, siblings FROM get_entry_v1($1, $2, $3, $4)',
      [place.name, count],
      options,
    );
    return { entry: row.entry === null ? undefined : entryFromRow(row.entry), siblings: row.siblings };
  }

  return {
    get: async (place, options) => (await fetch(place, false, options)).entry,
    getForWrite: (place, options) => fetch(place, true, options),
    async list(dir, query, options) {
      const row = await ask<{ page: ListItem[] | null; total: number }>(
        dir,
        'SELECT page, total FROM list_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)',
        listParams(query),
        options,
      );
      return { entries: (row.page ?? []).map(listedFromItem), total: row.total };
    },
  };
}

/** Everything after vnode and hash. The default order of mtime is newest first. */
function listParams(query: ListQuery): unknown[] {
  const byTime = query.sort === 'mtime';
  const marker = query.sort === 'none' ? undefined : query.marker;
  return [
    query.sort,
    query.sort !== 'none' && query.reverse !== byTime,
    byTime || marker === undefined ? null : String(marker),
    byTime && marker !== undefined ? Number(marker) : null,
    query.limit,
    query.only === undefined ? null : query.only === 'object' ? 'o' : 'd',
    query.owner ?? null,
  ];
}
