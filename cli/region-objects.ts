import { MantaError } from '../lib/errors/manta-error.ts';
import { ApiError } from '../lib/kubernetes/api-error.ts';
import type { Stored } from '../lib/kubernetes/object.ts';
import { type Node, nodes, type Pod, pods } from '../lib/kubernetes/resources.ts';
import { partLabels } from '../lib/resources/names.ts';
import {
  type MantaRegion,
  mantaRegions,
  type Shard,
  type StorageNode,
  shards,
  storageNodes,
} from '../lib/resources/types.ts';
import type { CommandContext } from './command.ts';

type Reading = Pick<CommandContext, 'kubernetes' | 'namespace' | 'signal'>;

/** The region of the namespace, the oldest where there are several. Throws MantaError `RegionMissing`. */
export async function readRegion({ kubernetes, namespace, signal }: Reading): Promise<Stored<MantaRegion>> {
  const { items } = await kubernetes.list(mantaRegions, { namespace, signal });
  const [region] = [...items].sort((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
  if (region !== undefined) return region;
  throw new MantaError(
    'RegionMissing',
    `there is no MantaRegion in namespace ${namespace}: name another one with --namespace (kubectl get mr -A)`,
  );
}

/** All shards, by number. */
export async function readShards({ kubernetes, namespace, signal }: Reading): Promise<readonly Stored<Shard>[]> {
  const { items } = await kubernetes.list(shards, { namespace, signal });
  return [...items].sort(byName);
}

/** All storage nodes, by number. */
export async function readStorageNodes(reading: Reading): Promise<readonly Stored<StorageNode>[]> {
  const { kubernetes, namespace, signal } = reading;
  const { items } = await kubernetes.list(storageNodes, { namespace, signal });
  return [...items].sort(byName);
}

/** The pods of all programs, the operator's among them. */
export async function readPods({ kubernetes, namespace, signal }: Reading): Promise<readonly Stored<Pod>[]> {
  const { items } = await kubernetes.list(pods, { namespace, signal, labelSelector: partLabels.service });
  return items;
}

/** The Nodes of the cluster; undefined for those who may not read them, for they lie outside of namespaces. */
export async function readNodes({ kubernetes, signal }: Reading): Promise<readonly Stored<Node>[] | undefined> {
  try {
    const { items } = await kubernetes.list(nodes, { signal });
    return [...items].sort(byName);
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'Forbidden') return undefined;
    throw error;
  }
}

/** The refusal where Nodes are needed and may not be read. */
export function nodesForbidden(namespace: string): MantaError {
  return new MantaError(
    'NodesForbidden',
    `this needs to read Nodes: kubectl create clusterrolebinding NAME --clusterrole=manta-nodes-${namespace} --user=USER`,
  );
}

/** Numbers within names count as numbers: `stor-2` before `stor-10`. */
export function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function byName(a: Stored<object>, b: Stored<object>): number {
  return compareNames(a.metadata.name, b.metadata.name);
}
