import type { Logger } from 'pino';
import type { DatabaseTarget } from '../../lib/database/moving-target.ts';
import { createPool, type Pool, poolDefaults } from '../../lib/database/pool.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { createFirstRing } from '../../lib/metadata/first-ring.ts';
import { checkRanges } from '../../lib/metadata/ring.ts';
import type { RingAdmin } from './internal/ring.ts';

/** The slot map over the control database and the index databases that this program knows. */
export function createRingAdmin(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly control: Pool },
  shards: readonly { readonly shard: number; readonly connection: DatabaseTarget }[],
): RingAdmin {
  const { control } = deps;
  return {
    async read() {
      // ring_version_pkey
      const [row] = await control.query<{ version: string; ranges: unknown; digest: Buffer }>(
        'SELECT version, ranges, digest FROM ring_version ORDER BY version DESC LIMIT 1',
        [],
        { isRepeatable: true },
      );
      if (row === undefined) return undefined;
      return { version: Number(row.version), digest: row.digest.toString('hex'), ranges: checkRanges(row.ranges) };
    },
    async create(numbers) {
      const named = numbers.map(number => {
        const known = shards.find(({ shard }) => shard === number);
        if (known === undefined) throw new MantaError('InvalidParameter', `shards: webapi does not know ${number}`);
        return known;
      });
      const pools = named.map(({ shard, connection }) => ({
        shard,
        pool: createPool(deps, connection, { ...poolDefaults, name: `ring-${shard}`, size: 1 }),
      }));
      try {
        return await createFirstRing(control, pools);
      } finally {
        await Promise.all(pools.map(({ pool }) => pool.close()));
      }
    },
  };
}
