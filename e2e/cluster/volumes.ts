import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import { type PersistentVolume, persistentVolumes } from '../../lib/kubernetes/resources.ts';
import { nodeName } from './addresses.ts';
import { VOLUMES } from './node-root.ts';
import { LOCAL_CLASS, localVolume } from './objects.ts';
import type { ClusterPlan } from './plan.ts';

/**
 * One look at the cluster's local volumes: those that are missing are made, and one whose claim is gone is emptied and
 * made anew, as the static provisioner of local volumes does in a real cluster. Nodes keep their directories' names.
 */
export async function provideVolumes(kubernetes: Kubernetes, plan: ClusterPlan): Promise<void> {
  const { items } = await kubernetes.list(persistentVolumes, { resourceVersion: '0' });
  const found = new Map(items.map(item => [item.metadata.name, item]));
  for (let node = 1; node <= plan.nodes; node += 1) {
    for (let volume = 1; volume <= plan.volumesPerNode; volume += 1) {
      const name = `${LOCAL_CLASS}-${nodeName(node)}-${volume}`;
      const existing = found.get(name);
      if (existing?.status?.phase === 'Released') {
        empty(join(plan.dir, 'nodes', nodeName(node), 'root', VOLUMES, String(volume)));
        await kubernetes.delete(persistentVolumes, { name });
      } else if (existing === undefined) {
        await kubernetes.create(persistentVolumes, localVolume(node, volume) as PersistentVolume);
      }
    }
  }
}

function empty(directory: string): void {
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true, force: true });
}
