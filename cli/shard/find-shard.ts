import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import { type Shard, shards } from '../../lib/resources/types.ts';
import type { CommandContext } from '../command.ts';

/** `shard-3` of `3`, `shard-3` or `3.moray.us-east.example.net`. Throws MantaError `Usage`. */
export function shardName(text: string): string {
  const [, digits] = /^(?:shard-)?([1-9]\d{0,3})(?:\.moray\..+)?$/.exec(text) ?? [];
  if (digits === undefined) throw new MantaError('Usage', `"${text}" is no shard: give its number`);
  return `shard-${digits}`;
}

/** The shard that people name so. Throws MantaError `ShardMissing`. */
export async function findShard(
  { kubernetes, namespace, signal }: Pick<CommandContext, 'kubernetes' | 'namespace' | 'signal'>,
  text: string,
): Promise<Stored<Shard>> {
  const name = shardName(text);
  const found = await kubernetes.get(shards, { namespace, name }, { signal });
  if (found !== undefined) return found;
  throw new MantaError(
    'ShardMissing',
    `there is no ${name} in namespace ${namespace}: kubectl -n ${namespace} get mshard`,
  );
}
