import type { Deployment } from '../../lib/kubernetes/resources.ts';
import type { Shard, StorageNode } from '../../lib/resources/types.ts';
import { isConditionTrue } from '../../operator/runtime/condition.ts';

/** The shard takes writes, by what its controller says. */
export function isShardReady({ status }: Pick<Shard, 'status'>): boolean {
  return isConditionTrue(status?.conditions, 'Ready');
}

/** The storage node serves, by what its controller says. */
export function isStorageReady({ status }: Pick<StorageNode, 'status'>): boolean {
  return isConditionTrue(status?.conditions, 'Ready');
}

/** It takes new objects. */
export function isWritable({ status }: Pick<StorageNode, 'status'>): boolean {
  return isConditionTrue(status?.conditions, 'Writable');
}

/** At least one pod of the program is available. */
export function isServing(deployment: Deployment | undefined): boolean {
  return (deployment?.status?.availableReplicas ?? 0) > 0;
}

/** Nothing of the program has been available for two minutes: longer than what it stands on may take to be changed. */
export function isBrokenFor(deployment: Deployment, nowMs: number): boolean {
  const told = deployment.status?.conditions?.find(({ type }) => type === 'Available');
  return told?.status === 'False' && nowMs - Date.parse(told.lastTransitionTime ?? '') > BROKEN_MS;
}

const BROKEN_MS = 120_000;

/** As many pods as there are to be are available, all of the newest template. */
export function isComplete(deployment: Deployment | undefined): boolean {
  const { spec, status, metadata } = deployment ?? {};
  const desired = spec?.replicas ?? 0;
  return (
    deployment !== undefined &&
    status?.observedGeneration === metadata?.generation &&
    (status?.updatedReplicas ?? 0) === desired &&
    (status?.replicas ?? 0) === desired &&
    (status?.availableReplicas ?? 0) === desired
  );
}
