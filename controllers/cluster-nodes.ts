import type { Kubernetes } from '../lib/kubernetes/kubernetes.ts';
import type { Stored } from '../lib/kubernetes/object.ts';
import { type Node, nodes } from '../lib/kubernetes/resources.ts';
import type { Clock } from '../lib/lifecycle/clock.ts';
import { nodeLabels } from '../lib/resources/names.ts';

/** The Nodes of the cluster, which the operator may list but not watch (operations.md §5.2). */
export interface ClusterNodes {
  /** As they were half a minute ago at most; for display, layout and refusals, never for safety. */
  list(signal?: AbortSignal): Promise<readonly Stored<Node>[]>;
}

const FRESH_MS = 30_000;

export function createClusterNodes(deps: {
  readonly kubernetes: Pick<Kubernetes, 'list'>;
  readonly clock: Pick<Clock, 'monotonic'>;
}): ClusterNodes {
  let known: { readonly nodes: readonly Stored<Node>[]; readonly at: number } | undefined;
  return {
    async list(signal) {
      if (known === undefined || deps.clock.monotonic() - known.at >= FRESH_MS) {
        const at = deps.clock.monotonic();
        const { items } = await deps.kubernetes.list(nodes, signal === undefined ? {} : { signal });
        known = { nodes: items, at };
      }
      return known.nodes;
    },
  };
}

/** The zone of a Node, by its label; undefined for one that is not known, or has none. */
export function zoneOf(nodes: readonly Stored<Node>[], name: string | undefined): string | undefined {
  return nodes.find(({ metadata }) => metadata.name === name)?.metadata.labels?.[nodeLabels.zone];
}

/** The address by which a Node is reached from outside, if it has one, else from inside. */
export function addressOf({ status }: Node): string | undefined {
  const find = (kind: string) => status?.addresses?.find(({ type }) => type === kind)?.address;
  return find('ExternalIP') ?? find('InternalIP');
}
