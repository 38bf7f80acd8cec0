import type { Intent } from '../../../lib/kubernetes/object.ts';
import type { ConfigMap, Deployment, PodDisruptionBudget } from '../../../lib/kubernetes/resources.ts';
import { labels } from '../../names.ts';
import { type PodParts, podTemplate } from '../../pods/pod-template.ts';
import { templateAnnotation } from '../../pods/template-hash.ts';
import type { RegionView } from '../../region-view.ts';

/** A program of which several alike run. */
export type ReplicatedProgram = 'webapi' | 'loadbalancer';

/** Where a program finds its configuration. */
export const CONFIG_DIRECTORY = '/etc/manta/config';
/** Name of the configuration file in it. */
export const CONFIG_FILE = 'config.yaml';

/** Labels that select the pods of a program. */
export function selectorOf(region: RegionView, program: ReplicatedProgram): Readonly<Record<string, string>> {
  return { [labels.service]: program, [labels.region]: region.name };
}

/** Name, namespace and labels of an object of a program. */
export function metadataOf(region: RegionView, program: ReplicatedProgram, name: string) {
  return { name, namespace: region.namespace, labels: region.labelsOf(program) };
}

/** The rendered configuration, `manta-<program>`. */
export function programConfigMap(region: RegionView, program: ReplicatedProgram, text: string): Intent<ConfigMap> {
  return { metadata: metadataOf(region, program, `manta-${program}`), data: { [CONFIG_FILE]: text } };
}

/** One pod of the program at a time may be evicted. */
export function programBudget(region: RegionView, program: ReplicatedProgram): Intent<PodDisruptionBudget> {
  return {
    metadata: metadataOf(region, program, program),
    spec: { maxUnavailable: 1, selector: { matchLabels: selectorOf(region, program) } },
  };
}

/** A Deployment that never has fewer pods than it should while it is rolled: operations.md §4.6. */
export function programDeployment(
  region: RegionView,
  parts: PodParts & { readonly program: ReplicatedProgram },
): Intent<Deployment> {
  const { program, container } = parts;
  const template = podTemplate(region, {
    ...parts,
    container: {
      ...container,
      volumeMounts: [
        ...(container.volumeMounts ?? []),
        { name: 'config', mountPath: CONFIG_DIRECTORY, readOnly: true },
      ],
    },
    volumes: [...parts.volumes, { name: 'config', configMap: { name: `manta-${program}` } }],
  });
  return {
    metadata: { ...metadataOf(region, program, program), annotations: templateAnnotation(template) },
    spec: {
      replicas: region.spec.services[program].replicas,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      progressDeadlineSeconds: 300,
      revisionHistoryLimit: 3,
      selector: { matchLabels: selectorOf(region, program) },
      template,
    },
  };
}
