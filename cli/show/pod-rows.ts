import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Node, Pod } from '../../lib/kubernetes/resources.ts';
import { nodeLabels, partLabels, type RegionDomain, shardNumberOf, storageIdOf } from '../../lib/resources/names.ts';
import { ageOf } from '../age.ts';
import { compareNames } from '../region-objects.ts';
import type { Table } from '../table.ts';

/** A pod as `show` lists it. */
export interface PodRow {
  readonly program: string;
  /** Number of the shard, of database pods. */
  readonly shard: number | undefined;
  readonly pod: string;
  /** Undefined until the pod has a place. */
  readonly node: string | undefined;
  readonly nodeIp: string | undefined;
  readonly zone: string | undefined;
  /** Tag of the image; undefined where a digest alone names it. */
  readonly version: string | undefined;
  readonly image: string | undefined;
  readonly isReady: boolean;
  readonly restarts: number;
  readonly age: string;
  /** Of storage pods. */
  readonly storageId: string | undefined;
}

/** Columns of `show`: operations.md §6. */
export const podTable: Table<PodRow> = {
  columns: [
    { name: 'program', value: row => row.program },
    { name: 'shard', header: 'SH', value: row => row.shard },
    { name: 'pod', value: row => row.pod },
    { name: 'node', value: row => row.node },
    { name: 'node_ip', header: 'NODE-IP', value: row => row.nodeIp },
    { name: 'zone', value: row => row.zone },
    { name: 'version', value: row => row.version },
    { name: 'image', value: row => row.image },
    { name: 'ready', value: row => row.isReady },
    { name: 'restarts', value: row => row.restarts },
    { name: 'age', value: row => row.age },
    { name: 'storage_id', value: row => row.storageId },
  ],
  shown: ['program', 'shard', 'pod', 'node_ip', 'ready'],
};

/** Pods by program, shard and name. `nodes`: undefined when nobody may read them; zones are then unknown. Pure. */
export function podRows(seen: {
  readonly pods: readonly Stored<Pod>[];
  readonly nodes: readonly Stored<Node>[] | undefined;
  readonly region: RegionDomain;
  readonly nowMs: number;
}): readonly PodRow[] {
  const zones = new Map(seen.nodes?.map(({ metadata }) => [metadata.name, metadata.labels?.[nodeLabels.zone]]));
  return seen.pods
    .map(pod => rowOf(pod, zones, seen))
    .sort(
      (a, b) => compareNames(a.program, b.program) || (a.shard ?? 0) - (b.shard ?? 0) || compareNames(a.pod, b.pod),
    );
}

function rowOf(
  { metadata, spec, status }: Stored<Pod>,
  zones: ReadonlyMap<string, string | undefined>,
  { region, nowMs }: { readonly region: RegionDomain; readonly nowMs: number },
): PodRow {
  const program = metadata.labels?.[partLabels.service] ?? '';
  const shard = metadata.labels?.[partLabels.shard];
  const storageNode = metadata.labels?.[partLabels.storageNode];
  const image = (spec?.containers.find(({ name }) => name === program) ?? spec?.containers[0])?.image;
  const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
  return {
    program,
    shard: shard === undefined ? undefined : shardNumberOf(shard),
    pod: metadata.name,
    node: spec?.nodeName,
    nodeIp: status?.hostIP,
    zone: zones.get(spec?.nodeName ?? ''),
    version: versionOf(image),
    image,
    isReady,
    restarts: status?.containerStatuses?.reduce((sum, { restartCount }) => sum + restartCount, 0) ?? 0,
    age: ageOf(metadata.creationTimestamp, nowMs),
    storageId: storageNode === undefined ? undefined : storageIdOf(storageNode, region),
  };
}

/** The tag of a reference such as `registry:5000/manta/webapi:1.4.2@sha256:…`. */
function versionOf(image: string | undefined): string | undefined {
  const [name = ''] = (image ?? '').split('@');
  return /:([^:/]+)$/.exec(name)?.[1];
}
