import { shardNumberOf } from '../../lib/resources/names.ts';
import { databaseHosts, indexShards } from '../databases.ts';
import { readRegionKey } from '../secrets/region-key.ts';
import type { WebapiSurroundings } from './programs/webapi.ts';
import type { RegionSnapshot } from './snapshot.ts';

/** What webapi has to know beside the spec; undefined while something is not known that it cannot start without. Pure. */
export function surroundingsOf({
  shards,
  secrets,
}: Pick<RegionSnapshot, 'shards' | 'secrets'>): WebapiSurroundings | undefined {
  const control = databaseHosts(shards).get('control');
  const regionKey = readRegionKey(secrets.regionKey);
  const index = indexShards(shards);
  if (control === undefined || regionKey === undefined || index.length === 0) return undefined;
  return { indexShards: index, controlShard: shardNumberOf(control.metadata.name), regionKey };
}
