import type { Intent } from '../../lib/kubernetes/object.ts';
import type { Deployment, StatefulSet } from '../../lib/kubernetes/resources.ts';
import { hashOf, type PodTemplate } from './pod-template.ts';

/** Annotation of a workload with the hash of the pod template that it was given. */
export const TEMPLATE_HASH = 'manta.io/template-hash';

type Workload = StatefulSet | Deployment;

/** For the metadata of a workload that is made from this template. */
export function templateAnnotation(template: PodTemplate): Readonly<Record<string, string>> {
  return { [TEMPLATE_HASH]: hashOf(JSON.stringify(template)) };
}

/** Whether applying `wanted` would give the workload another template, and so replace pods. */
export function changesTemplate(live: Workload | undefined, wanted: Intent<StatefulSet> | Intent<Deployment>): boolean {
  if (live === undefined) return false;
  return live.metadata?.annotations?.[TEMPLATE_HASH] !== wanted.metadata.annotations?.[TEMPLATE_HASH];
}

/** Label by which a pod tells the revision of the StatefulSet's template that it was made from. */
const REVISION = 'controller-revision-hash';

/** Pods of a StatefulSet that are not of its newest template; none while its controller has not looked at that yet. */
export function outdatedPods<P extends { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> } }>(
  set: StatefulSet | undefined,
  pods: readonly P[],
): readonly P[] {
  const { status, metadata } = set ?? {};
  if (status?.updateRevision === undefined || status.observedGeneration !== metadata?.generation) return [];
  return pods.filter(pod => pod.metadata?.labels?.[REVISION] !== status.updateRevision);
}
