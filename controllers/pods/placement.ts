import type { Pod } from '../../lib/kubernetes/resources.ts';
import { nodeLabels, STORAGE_TAINT } from '../../lib/resources/names.ts';
import type { Program } from '../../lib/resources/profile-defaults.ts';
import type { Toleration } from '../../lib/resources/types.ts';
import { labels } from '../names.ts';
import type { RegionView } from '../region-view.ts';

type PodSpec = NonNullable<Pod['spec']>;
/** Where a pod may run, as its spec says it. */
export type Placement = Pick<PodSpec, 'nodeSelector' | 'affinity' | 'tolerations' | 'topologySpreadConstraints'>;
type Spread = NonNullable<PodSpec['topologySpreadConstraints']>[number];
type Affinity = NonNullable<PodSpec['affinity']>;
type NodeTerm = NonNullable<
  NonNullable<
    NonNullable<Affinity['nodeAffinity']>['requiredDuringSchedulingIgnoredDuringExecution']
  >['nodeSelectorTerms']
>[number];

const HOST = 'kubernetes.io/hostname';

/** What placement adds for one program. */
interface Rules {
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
  readonly tolerations?: readonly Toleration[] | undefined;
  readonly spread?: readonly Spread[];
  readonly podAntiAffinity?: Affinity['podAntiAffinity'];
}

/** Programs of which several alike run: spread over zones, counted per revision so that a surge pod fits. */
export function replicatedPlacement(region: RegionView, program: Program): Placement {
  const selector = selectorOf(region, program);
  const perRevision = { labelSelector: selector, matchLabelKeys: ['pod-template-hash'] };
  return placed(region, {
    spread: zoneSpread(region, perRevision),
    podAntiAffinity: preferred(selector),
  });
}

/** Members of nameservice: never two on one node, spread over zones. */
export function nameservicePlacement(region: RegionView): Placement {
  const selector = selectorOf(region, 'nameservice');
  const isAlone = region.spec.nameservice.members === 1;
  return placed(region, {
    spread: zoneSpread(region, { labelSelector: selector }),
    ...(isAlone ? {} : { podAntiAffinity: required(selector) }),
  });
}

/** Peers of one shard: never two on one node, spread over zones, and away from other shards where there is room. */
export function peerPlacement(region: RegionView, shard: string, own: Rules & { readonly peers: number }): Placement {
  const all = selectorOf(region, 'postgres');
  const peers = { matchLabels: { ...all.matchLabels, [labels.shard]: shard } };
  return placed(region, {
    nodeSelector: own.nodeSelector,
    tolerations: own.tolerations,
    spread: zoneSpread(region, { labelSelector: peers }),
    podAntiAffinity: { ...(own.peers > 1 ? required(peers) : {}), ...preferred(all) },
  });
}

/** A storage pod: in its zone, on its node if one is named, and beside no other storage pod but in development. */
export function storagePlacement(
  region: RegionView,
  node: { readonly zone: string; readonly nodeName?: string | undefined },
): Placement {
  const { placement, profile, zones } = region.spec;
  const selector = selectorOf(region, 'storage');
  const apart = placement.strictness === 'Required' ? required(selector) : preferred(selector);
  return stated({
    nodeSelector: {
      ...placement.storageNodeSelector,
      ...(zones.length > 1 ? { [nodeLabels.zone]: node.zone } : {}),
    },
    tolerations: [{ key: STORAGE_TAINT, operator: 'Exists' }, ...placement.tolerations],
    affinity: stated({
      podAntiAffinity: profile === 'dev' ? {} : apart,
      nodeAffinity: node.nodeName === undefined ? {} : onNode(node.nodeName),
    }),
  });
}

/** With three zones only nodes of these zones; with one the label is not used. */
function placed(region: RegionView, rules: Rules): Placement {
  const { placement, zones } = region.spec;
  const inZones: NodeTerm = { matchExpressions: [{ key: nodeLabels.zone, operator: 'In', values: [...zones].sort() }] };
  return stated({
    nodeSelector: rules.nodeSelector ?? placement.serviceNodeSelector,
    tolerations: rules.tolerations ?? placement.tolerations,
    topologySpreadConstraints: rules.spread ?? [],
    affinity: stated({
      podAntiAffinity: rules.podAntiAffinity ?? {},
      nodeAffinity: zones.length > 1 ? requiredNode(inZones) : {},
    }),
  });
}

/** Without what says nothing: the API server drops empty lists and maps, and would never show what was applied. */
function stated<T extends object>(parts: T): Partial<T> {
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => Object.keys(part).length > 0)) as Partial<T>;
}

function zoneSpread({ spec }: RegionView, counted: Pick<Spread, 'labelSelector' | 'matchLabelKeys'>): Spread[] {
  if (spec.zones.length === 1) return [];
  const whenUnsatisfiable = spec.placement.strictness === 'Required' ? 'DoNotSchedule' : 'ScheduleAnyway';
  return [{ maxSkew: 1, topologyKey: nodeLabels.zone, whenUnsatisfiable, ...counted }];
}

function selectorOf(region: RegionView, program: Program) {
  return { matchLabels: { [labels.service]: program, [labels.region]: region.name } };
}

type Selector = ReturnType<typeof selectorOf>;

function required(labelSelector: Selector) {
  return { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: HOST, labelSelector }] };
}

function preferred(labelSelector: Selector) {
  const term = { topologyKey: HOST, labelSelector };
  return { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] };
}

function requiredNode(term: NodeTerm) {
  return { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } };
}

/** By name and not by label: the label of a Node's host name may be another. */
function onNode(name: string) {
  return requiredNode({ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] });
}
