import type { Stored } from '../lib/kubernetes/object.ts';
import { shardNumberOf } from '../lib/resources/names.ts';
import type { Shard } from '../lib/resources/types.ts';

/** Databases that exactly one shard of a region hosts. */
export const SINGLE_DATABASES = ['control', 'jobs', 'ops'] as const;
/** One of them. */
export type SingleDatabase = (typeof SINGLE_DATABASES)[number];

/** Shards by number. */
export function byNumber(shards: readonly Stored<Shard>[]): readonly Stored<Shard>[] {
  return [...shards].sort((a, b) => shardNumberOf(a.metadata.name) - shardNumberOf(b.metadata.name));
}

/** Who hosts what: of several that claim one of the single databases, the one that was there first. operations.md §3.3. */
export function databaseHosts(shards: readonly Stored<Shard>[]): ReadonlyMap<SingleDatabase, Stored<Shard>> {
  const hosts = new Map<SingleDatabase, Stored<Shard>>();
  const byAge = [...byNumber(shards)].sort((a, b) =>
    a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp),
  );
  for (const shard of byAge)
    for (const database of SINGLE_DATABASES)
      if (shard.spec.databases.includes(database) && !hosts.has(database)) hosts.set(database, shard);
  return hosts;
}

/** The first of a shard's databases that another shard hosts; undefined when all are its own. */
export function takenDatabase(
  shard: Stored<Shard>,
  shards: readonly Stored<Shard>[],
): { readonly database: SingleDatabase; readonly host: string } | undefined {
  for (const [database, host] of databaseHosts(shards))
    if (shard.spec.databases.includes(database) && host.metadata.uid !== shard.metadata.uid)
      return { database, host: host.metadata.name };
  return undefined;
}

/** Numbers of the shards that hold part of the namespace, or are to. */
export function indexShards(shards: readonly Stored<Shard>[]): readonly number[] {
  return byNumber(shards)
    .filter(({ spec, status }) => spec.vnodes === 'Share' || (status?.vnodes ?? 0) > 0)
    .map(({ metadata }) => shardNumberOf(metadata.name));
}
