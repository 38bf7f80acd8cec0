import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';

/** Whether Kubernetes sends anybody to the pod. */
export function isReady({ status }: Pick<Pod, 'status'>): boolean {
  return status?.conditions?.some(condition => condition.type === 'Ready' && condition.status === 'True') ?? false;
}

/** What the scheduler says of a pod that it finds no place for; undefined for all others. */
export function unschedulable({ status }: Pick<Pod, 'status'>): string | undefined {
  const told = status?.conditions?.find(condition => condition.type === 'PodScheduled' && condition.status === 'False');
  return told?.reason === 'Unschedulable' ? (told.message ?? 'it fits nowhere') : undefined;
}

/** Longer than a takeover, a restart or a look at the disk takes a pod that is well. */
const BROKEN_MS = 60_000;

/**
 * Whether a pod has been out of rotation for so long that replacing it can only help. One that is out for a moment, as a
 * primary is whose sync is being replaced, is not broken.
 */
export function isBroken(pod: Stored<Pod>, nowMs: number): boolean {
  if (isReady(pod)) return false;
  const since = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  return nowMs - Date.parse(since ?? pod.metadata.creationTimestamp) > BROKEN_MS;
}
