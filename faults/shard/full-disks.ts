import { execFileSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalPeer } from '../../images/postgres/local/local-shard.ts';
import type { Round, Scenario } from './scenario.ts';

type Volume = 'data' | 'wal';

/** F12: volumes that run full. They are file systems in memory, and the size is what is taken away. */
export const fullDiskScenarios: readonly Scenario[] = [
  fullDisk('primary', 'wal', { goal: 'T1', generations: [1, 2] }),
  fullDisk('sync', 'wal', { goal: 'T1', generations: [1, 2] }),
  fullDisk('primary', 'data', { generations: [1, 2] }),
];

/** As large as it claims to be; memory goes only for what is written. */
const ROOMY = '16g';
const PEERS = ['pg-1-0', 'pg-1-1', 'pg-1-2'];
const volumes = (dir: string) => PEERS.flatMap(id => [join(dir, id, 'data'), join(dir, id, 'wal')]);

/** Gives the peers of a shard that is to be made in the directory volumes of their own. */
export function mountVolumes(dir: string): void {
  for (const volume of volumes(dir)) {
    mkdirSync(volume, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${ROOMY},mode=755`, 'manta-faults', volume]);
  }
}

/** After the shard has ended. */
export function unmountVolumes(dir: string): void {
  for (const volume of volumes(dir)) execFileSync('umount', ['--lazy', volume]);
}

function fullDisk(place: 'primary' | 'sync', volume: Volume, more: Pick<Scenario, 'goal' | 'generations'>): Scenario {
  return {
    row: 'F12',
    name: `${volume} volume of the ${place} full`,
    ...more,
    needsVolumes: true,
    times: 2,
    seconds: 40,
    unavailable: async () => (process.getuid?.() === 0 ? undefined : 'file systems are mounted by root'),
    round: async ({ rig, loader, measured }: Round) => {
      const { state, [place]: peer } = await rig.roles();
      await fill(peer, volume);
      await rig.stateWhen(({ generation }) => generation > state.generation, 30_000, 'another pair');
      await loader.acknowledged(30_000);
      measured();
      resize(peer, volume, ROOMY);
    },
  };
}

/** Nothing can be added to it any more. What is written meanwhile makes the size too small to be taken: then again. */
async function fill(peer: LocalPeer, volume: Volume): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const { blocks, bfree, bsize } = statfsSync(join(peer.dir, volume));
    try {
      resize(peer, volume, String((blocks - bfree) * bsize));
      return;
    } catch (error) {
      if (tries > 50) throw error;
      await sleep(10);
    }
  }
}

function resize(peer: LocalPeer, volume: Volume, size: string): void {
  execFileSync('mount', ['-o', `remount,size=${size}`, join(peer.dir, volume)], { stdio: 'pipe' });
}
