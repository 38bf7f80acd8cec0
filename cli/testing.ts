import type { KubernetesObject, Stored } from '../lib/kubernetes/object.ts';
import type { Node, Pod } from '../lib/kubernetes/resources.ts';
import { nodeLabels, partLabels } from '../lib/resources/names.ts';
import type { Condition } from '../lib/resources/types.ts';

/** When everything that tests build was made: one hour before `NOW_MS`. */
export const CREATED = '2026-03-02T09:00:00Z';
export const NOW_MS = Date.parse('2026-03-02T10:00:00Z');

/** An object as the API server would answer it. */
export function stored<T extends KubernetesObject>(
  object: T,
  metadata: Partial<Stored<T>['metadata']> = {},
): Stored<T> {
  return {
    ...object,
    metadata: {
      name: '',
      uid: 'uid',
      resourceVersion: '1',
      creationTimestamp: CREATED,
      generation: 1,
      ...object.metadata,
      ...metadata,
    },
  };
}

/** A pod of a program, ready unless it is said not to be. */
export function aPod(
  name: string,
  program: string,
  {
    node,
    image = `manta/${program}:1.4.2`,
    labels = {},
    isReady = true,
    restarts = 0,
  }: {
    readonly node?: string;
    readonly image?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly isReady?: boolean;
    readonly restarts?: number;
  } = {},
): Stored<Pod> {
  return stored<Pod>({
    metadata: { name, namespace: 'manta', labels: { [partLabels.service]: program, ...labels } },
    spec: { containers: [{ name: program, image }], ...(node === undefined ? {} : { nodeName: node }) },
    status: {
      ...(node === undefined ? {} : { hostIP: `10.0.0.${node.length}` }),
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
      containerStatuses: [{ name: program, image, imageID: '', ready: isReady, restartCount: restarts, started: true }],
    },
  });
}

/** A Node with an address, 8 GiB of memory and what `labels` say. */
export function aNode(name: string, labels: { readonly zone?: string; readonly role?: string } = {}): Stored<Node> {
  return stored<Node>({
    metadata: {
      name,
      labels: {
        ...(labels.zone === undefined ? {} : { [nodeLabels.zone]: labels.zone }),
        ...(labels.role === undefined ? {} : { [nodeLabels.role]: labels.role }),
      },
    },
    status: {
      addresses: [
        { type: 'ExternalIP', address: '192.0.2.1' },
        { type: 'InternalIP', address: `10.0.0.${name.length}` },
      ],
      capacity: { memory: '8388608Ki' },
      nodeInfo: { systemUUID: `uuid-of-${name}` } as NonNullable<NonNullable<Node['status']>['nodeInfo']>,
    },
  });
}

/** A condition as a controller writes it. */
export function condition(type: string, status: Condition['status'], reason: string, message = ''): Condition {
  return { type, status, reason, message, lastTransitionTime: CREATED };
}
