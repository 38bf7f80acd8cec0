import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import { configMaps, type Pod, secrets } from '../../lib/kubernetes/resources.ts';

type Volume = NonNullable<NonNullable<Pod['spec']>['volumes']>[number];

/** The volumes of a pod as directories of this machine, by the path that the container has them at. */
export async function mountVolumes(
  kubernetes: Kubernetes,
  pod: Stored<Pod>,
  dirs: { readonly pod: string; readonly claims: string },
): Promise<ReadonlyMap<string, string>> {
  const mounted = new Map<string, string>();
  for (const volume of pod.spec?.volumes ?? []) {
    const claim = volume.persistentVolumeClaim?.claimName;
    const dir = claim === undefined ? join(dirs.pod, volume.name) : join(dirs.claims, claim);
    mkdirSync(dir, { recursive: true });
    const files = await filesOf(kubernetes, pod.metadata.namespace ?? '', volume);
    for (const [name, content] of files) writeFileSync(join(dir, name), content);
    for (const { name, mountPath } of pod.spec?.containers[0]?.volumeMounts ?? [])
      if (name === volume.name) mounted.set(mountPath, dir);
  }
  return mounted;
}

/** Forgets what does not outlive a pod. */
export function unmount(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
}

/** For programs that give up root. */
export function openToAll(dir: string): void {
  chmodSync(dir, 0o777);
}

/** Throws, as kubelet waits, when a Secret or an entry that the volume names is not there. */
async function filesOf(kubernetes: Kubernetes, namespace: string, volume: Volume): Promise<[string, Buffer][]> {
  const { secret, configMap } = volume;
  if (secret !== undefined) {
    const found = await kubernetes.get(secrets, { namespace, name: secret.secretName ?? '' });
    const items = secret.items ?? Object.keys(found?.data ?? {}).map(key => ({ key, path: key }));
    return items.map(({ key, path }) => {
      const value = found?.data?.[key];
      if (value === undefined) throw new Error(`Secret ${secret.secretName} has no entry ${key}`);
      return [path, Buffer.from(value, 'base64')];
    });
  }
  if (configMap !== undefined) {
    const found = await kubernetes.get(configMaps, { namespace, name: configMap.name ?? '' });
    if (found === undefined) throw new Error(`there is no ConfigMap ${configMap.name}`);
    return Object.entries(found.data ?? {}).map(([name, text]) => [name, Buffer.from(text)]);
  }
  const items = volume.downwardAPI?.items ?? [];
  return items.map(({ path }) => [path, Buffer.from('')]);
}
