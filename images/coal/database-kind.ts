import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { readLayout } from '../postgres/local/layout.ts';

/** Where a region keeps its one server. */
export const serverDirOf = (dir: string) => join(dir, 'postgres');

/** Where a region keeps its shard. */
export const shardDirOf = (dir: string) => join(dir, 'shard');

/**
 * Throws MantaError `DatabaseKind` when the region in `dir` has its databases on something else than what it is started
 * with: it would seem to have lost everything. What is on the disk decides, not what an earlier start was told.
 */
export function assertSameDatabases(dir: string, shardPeers: number | undefined): void {
  const peers = readLayout(shardDirOf(dir))?.peers.length;
  const hasServer = existsSync(join(serverDirOf(dir), 'data'));
  if (peers === shardPeers || (peers === undefined && !hasServer)) return;
  const [what, how] =
    peers === undefined
      ? ['one PostgreSQL server', 'without --shard-peers']
      : [`a shard of ${peers}`, `with --shard-peers ${peers}`];
  throw new MantaError(
    'DatabaseKind',
    `the region in ${dir} has its databases on ${what}: start it ${how}, or choose another directory with --dir`,
  );
}
