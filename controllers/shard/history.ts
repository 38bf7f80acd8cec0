import { z } from 'zod';
import type { Coordinator } from '../../lib/coordinator/coordinator.ts';
import type { ShardStatus } from '../../lib/resources/types.ts';
import { shardKeys } from '../../lib/shard/keys.ts';
import { clusterStateSchema } from '../../lib/shard/state.ts';
import { ETCD_ROOT } from '../names.ts';

type History = NonNullable<ShardStatus['history']>;

const NEWEST = 20;
const entrySchema = clusterStateSchema.extend({ at: z.string() });

/** The newest changes of a shard's state, newest first, as far as they can be read. Throws MantaError `CoordinatorUnavailable`. */
export async function readHistory(coordinator: Coordinator, shard: number): Promise<History> {
  const { entries } = await coordinator.read(shardKeys(ETCD_ROOT, shard).histories);
  const states = entries.slice(-NEWEST - 1).flatMap(({ value }) => {
    try {
      return entrySchema.safeParse(JSON.parse(value)).data ?? [];
    } catch {
      return [];
    }
  });
  const changes = states.map((state, index) => {
    const from = states[index - 1]?.primary.id;
    const { seq, generation, at, cause, primary } = state;
    return { seq, generation, at, cause, ...(from === undefined ? {} : { from }), to: primary.id };
  });
  return changes.slice(-NEWEST).reverse();
}
