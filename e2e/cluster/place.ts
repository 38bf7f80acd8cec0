import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { lockState, type StateLock } from '../../images/coal/state-lock.ts';
import { MantaError } from '../../lib/errors/manta-error.ts';

/** Where things of a cluster are kept, absolute paths. */
export interface ClusterPlace {
  readonly name: string;
  /** Its state: gone when it is. */
  readonly dir: string;
  /** Imported images that clusters start from. */
  readonly templates: string;
  /** Archives of images. */
  readonly archives: string;
  readonly locks: string;
}

/** There is one cluster a name on a machine, whatever directory it is started from. `MANTA_E2E_NAME` gives another name. */
export function clusterPlace(env: NodeJS.ProcessEnv): ClusterPlace {
  const name = env.MANTA_E2E_NAME || 'manta-e2e';
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'manta');
  return {
    name,
    dir: join(cache, 'e2e', name),
    templates: join(cache, 'e2e', 'templates', name),
    archives: join(cache, 'images'),
    locks: join(cache, 'e2e', 'locks', name),
  };
}

/** Good on this machine and in the cluster's network. */
export function kubeconfigOf({ dir }: ClusterPlace): string {
  return join(dir, 'credentials', 'admin.kubeconfig');
}

/** Takes the right to make and remove the cluster; it ends with this process. Throws MantaError `ClusterBusy`. */
export function lockCluster(place: ClusterPlace): StateLock {
  mkdirSync(place.locks, { recursive: true });
  const lock = lockState(place.locks);
  if (lock === undefined) throw new MantaError('ClusterBusy', `another process makes or removes ${place.name}`);
  return lock;
}

/** What an archive is called, whatever its contents: archives are `<name>-<hash of the contents>.tar`. */
export function archiveName(archive: string): string {
  return basename(archive).replace(/-[0-9a-f]+\.tar$/, '');
}

/** The newest archive of each name in a directory of `<name>-<hash of the contents>.tar`. */
export function newestArchives(directory: string): string[] {
  const newest = new Map<string, { path: string; madeMs: number }>();
  for (const file of listed(directory)) {
    const name = archiveName(file);
    if (name === file) continue;
    const path = join(directory, file);
    const madeMs = statSync(path).mtimeMs;
    if (madeMs > (newest.get(name)?.madeMs ?? 0)) newest.set(name, { path, madeMs });
  }
  return [...newest.values()].map(({ path }) => path).sort();
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
