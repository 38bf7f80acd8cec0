import { statfs } from 'node:fs/promises';
import type { Clock } from '../../../lib/lifecycle/clock.ts';

/** Space that ordinary users may still use. */
export interface FreeSpace {
  readonly ratio: number;
  readonly bytes: number;
  readonly totalBytes: number;
}

const LOOK_MS = 5_000;

/**
 * The worst of some volumes, looked at every 5 s (replication.md §11.11) in the background: a hung disk must not hold up
 * who asks. Until the first look has ended everything is free.
 */
export function createFreeSpace(deps: { clock: Clock }, paths: readonly string[]): () => FreeSpace {
  let known: FreeSpace = { ratio: 1, bytes: Number.MAX_SAFE_INTEGER, totalBytes: 0 };
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking = false;

  async function look() {
    looking = true;
    try {
      known = await freeSpaceOf(paths);
    } catch {
      // The volume is not there; the server will say so louder.
    } finally {
      looking = false;
    }
  }

  return () => {
    if (!looking && deps.clock.monotonic() - lookedAt >= LOOK_MS) {
      lookedAt = deps.clock.monotonic();
      void look();
    }
    return known;
  };
}

/** The volume with the least part free. */
export async function freeSpaceOf(paths: readonly string[]): Promise<FreeSpace> {
  const all = await Promise.all(
    paths.map(async path => {
      const { bsize, bavail, blocks } = await statfs(path);
      return { ratio: bavail / blocks, bytes: bavail * bsize, totalBytes: blocks * bsize };
    }),
  );
  return all.reduce((a, b) => (b.ratio < a.ratio ? b : a));
}
