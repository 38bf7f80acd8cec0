import { createHash } from 'node:crypto';
import type { Pod, StatefulSet } from '../../lib/kubernetes/resources.ts';
import type { ContainerResources } from '../../lib/resources/pod-resources.ts';
import type { Program } from '../../lib/resources/profile-defaults.ts';
import type { RegionView } from '../region-view.ts';
import type { Placement } from './placement.ts';
import { canonicalQuantities } from './quantities.ts';

type PodSpec = NonNullable<Pod['spec']>;
type Container = PodSpec['containers'][number];
export type Volume = NonNullable<PodSpec['volumes']>[number];
/** What StatefulSets and Deployments make pods from. */
export type PodTemplate = NonNullable<StatefulSet['spec']>['template'];

/** Annotation with the hash of the configuration that a pod has been started with. */
export const CONFIG_HASH = 'manta.io/config-hash';

/** The user of all images; volumes belong to the group of the same number. */
const USER = 65_532;

/** One pod of a program. The container's name is the program's. */
export interface PodParts {
  readonly program: Program;
  /** Beside those of the program. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly container: Omit<Container, 'name' | 'image' | 'imagePullPolicy' | 'resources' | 'securityContext'>;
  /** In place of the region's. */
  readonly resources?: ContainerResources;
  readonly volumes: readonly Volume[];
  readonly placement: Placement;
  readonly graceSeconds: number;
  /** What the program is told: another text restarts it. */
  readonly configuration: string;
  /** Mounts the token of its service account; of all programs only loadbalancer asks the API server anything. */
  readonly usesApi?: boolean;
}

/** A pod that meets the profile *restricted* of the Pod Security Standards (operations.md §5.3). */
export function podTemplate(region: RegionView, parts: PodParts): PodTemplate {
  const { program, placement, graceSeconds } = parts;
  const { images } = region.spec;
  const { requests, limits } = parts.resources ?? region.spec.services[program].resources;
  const resources = { requests: canonicalQuantities(requests), limits: canonicalQuantities(limits) };
  return {
    metadata: {
      labels: { ...region.labelsOf(program), ...parts.labels },
      annotations: { [CONFIG_HASH]: hashOf(parts.configuration) },
    },
    spec: {
      ...placement,
      ...(region.priorityClass === undefined ? {} : { priorityClassName: region.priorityClass }),
      ...(images.pullSecrets === undefined ? {} : { imagePullSecrets: images.pullSecrets }),
      serviceAccountName: `manta-${program}`,
      automountServiceAccountToken: parts.usesApi ?? false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: graceSeconds,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        fsGroup: USER,
        // At every mount it would open what PostgreSQL insists on having to itself.
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: program,
          image: region.image(program),
          imagePullPolicy: images.pullPolicy,
          resources,
          // What ended a program is in the pod's status, where controllers and people see it.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          ...parts.container,
        },
      ],
      volumes: parts.volumes,
    },
  };
}

/** Of a rendered configuration, for annotations and status. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** A probe of a program's control port. */
export function httpProbe(
  path: string,
  port: string,
  settings: Omit<NonNullable<Container['readinessProbe']>, 'httpGet'>,
) {
  return { httpGet: { path, port }, ...settings };
}

/** An environment variable with a field of the pod itself. */
export function fromPod(name: string, fieldPath: string) {
  return { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } } };
}

/** A Secret mounted with only these entries; `as` renames them. */
export function secretVolume(name: string, secretName: string, entries: Readonly<Record<string, string>>): Volume {
  const items = Object.entries(entries).map(([key, path]) => ({ key, path }));
  return { name, secret: { secretName, items, defaultMode: 0o440 } };
}
