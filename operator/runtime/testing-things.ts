import { eventually } from '../../lib/eventually/eventually.ts';
import type { Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { KubernetesObject, ObjectMeta } from '../../lib/kubernetes/object.ts';
import { defineResource } from '../../lib/kubernetes/resource.ts';
import { customResourceDefinitions } from '../../lib/kubernetes/resources.ts';
import type { Condition } from './condition.ts';

/** A custom resource for tests: something with a size, in a spec and a status. */
export interface Thing extends KubernetesObject {
  readonly metadata: ObjectMeta;
  readonly spec: { readonly size: number; readonly text?: string };
  readonly status?: { readonly size?: number; readonly by?: string; readonly conditions?: readonly Condition[] };
}

export const things = defineResource<Thing>({ group: 'example.org', version: 'v1', kind: 'Thing', plural: 'things' });

const condition = {
  type: 'object',
  required: ['type', 'status'],
  properties: {
    type: { type: 'string' },
    status: { type: 'string' },
    reason: { type: 'string' },
    message: { type: 'string' },
    observedGeneration: { type: 'integer' },
    lastTransitionTime: { type: 'string', format: 'date-time' },
  },
};
const schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: { size: { type: 'integer' }, text: { type: 'string' } },
    },
    status: {
      type: 'object',
      properties: {
        size: { type: 'integer' },
        by: { type: 'string' },
        conditions: {
          type: 'array',
          items: condition,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['type'],
        },
      },
    },
  },
};

/** Makes Things known to an API server. */
export async function installThings(kubernetes: Kubernetes): Promise<void> {
  const names = { kind: things.kind, plural: things.plural, singular: 'thing', listKind: 'ThingList' };
  const version = {
    name: things.version,
    served: true,
    storage: true,
    schema: { openAPIV3Schema: schema },
    subresources: { status: {} },
  };
  await kubernetes.create(customResourceDefinitions, {
    metadata: { name: `${things.plural}.${things.group}` },
    spec: { group: things.group, scope: 'Namespaced', names, versions: [version] },
  });
  await eventually(async () => void (await kubernetes.list(things, { limit: 1 })), 30_000);
}
