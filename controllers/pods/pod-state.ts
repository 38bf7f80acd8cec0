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
