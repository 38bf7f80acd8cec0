import {
  configMaps,
  deployments,
  networkPolicies,
  persistentVolumeClaims,
  podDisruptionBudgets,
  pods,
  services,
  statefulSets,
} from '../lib/kubernetes/resources.ts';
import { mantaRegions, shards, storageNodes } from '../lib/resources/types.ts';
import type { Cache } from '../operator/runtime/cache.ts';
import { labels, MANAGER } from './names.ts';

/** What all controllers read from, each kept current by one watch of one namespace. */
export type Informers = ReturnType<typeof createInformers>;

/** Of what the controllers make they see only what carries their label; of claims all, because people bring some. */
export function createInformers(cache: Cache, namespace: string) {
  const all = { namespace };
  const own = { namespace, labelSelector: `${labels.managedBy}=${MANAGER}` };
  return {
    mantaRegions: cache.informer(mantaRegions, all),
    shards: cache.informer(shards, all),
    storageNodes: cache.informer(storageNodes, all),
    claims: cache.informer(persistentVolumeClaims, all),
    statefulSets: cache.informer(statefulSets, own),
    deployments: cache.informer(deployments, own),
    pods: cache.informer(pods, own),
    services: cache.informer(services, own),
    configMaps: cache.informer(configMaps, own),
    budgets: cache.informer(podDisruptionBudgets, own),
    networkPolicies: cache.informer(networkPolicies, own),
  } as const;
}
