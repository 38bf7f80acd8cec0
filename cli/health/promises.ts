import type { Stored } from '../../lib/kubernetes/object.ts';
import type { Pod } from '../../lib/kubernetes/resources.ts';
import { partLabels } from '../../lib/resources/names.ts';
import type { Condition, MantaRegion, Shard, StorageNode } from '../../lib/resources/types.ts';
import type { Table } from '../table.ts';

/** What a region promises its clients, and whether it keeps it. */
export interface PromiseRow {
  readonly promise: 'read' | 'write' | 'list' | 'auth' | 'metadata' | 'capacity';
  /** `weak`: kept, and the next fault may break it. */
  readonly state: 'ok' | 'weak' | 'broken';
  readonly detail: string;
}

/** Columns of `status`: operations.md §6. */
export const promiseTable: Table<PromiseRow> = {
  columns: [
    { name: 'promise', value: row => row.promise },
    { name: 'state', value: row => row.state },
    { name: 'detail', value: row => row.detail },
  ],
  shown: ['promise', 'state', 'detail'],
};

/** What promises are judged by. */
export interface RegionSeen {
  readonly region: Stored<MantaRegion>;
  readonly shards: readonly Stored<Shard>[];
  readonly storageNodes: readonly Stored<StorageNode>[];
  readonly pods: readonly Stored<Pod>[];
}

/** What is known to break or weaken something, the worst first. */
interface Fault {
  readonly state: 'weak' | 'broken';
  readonly detail: string;
}

/** Fuller than this, storage nodes are to be added. */
const ALMOST_FULL_PERCENT = 85;

/**
 * The promises by what is ready and by the conditions of the custom resources; where somebody checks from outside, that
 * check decides. Pure.
 */
export function promiseRows(seen: RegionSeen): readonly PromiseRow[] {
  const front = frontFaults(seen);
  const index = shardFaults(seen.shards.filter(({ spec }) => spec.databases.includes('index')));
  const control = shardFaults(seen.shards.filter(({ spec }) => spec.databases.includes('control')));
  const all = shardFaults(seen.shards);
  const reads = checkFaults(seen.region, 'ReadsAvailable');
  const writes = checkFaults(seen.region, 'WritesAvailable');
  return [
    row('read', [...reads, ...front, ...index, ...copyFaults(seen)], 'objects are served'),
    row('write', [...writes, ...front, ...index, ...spaceFaults(seen)], 'objects are taken'),
    row('list', [...front, ...index], 'directories are listed'),
    row('auth', [...front, ...control], 'accounts and keys are looked up'),
    row('metadata', all, `${seen.shards.length} shards take writes, each with room for a fault`),
    row('capacity', capacityFaults(seen), capacityText(seen.region)),
  ];
}

function row(promise: PromiseRow['promise'], faults: readonly Fault[], fine: string): PromiseRow {
  const worst = faults.find(({ state }) => state === 'broken') ?? faults[0];
  return { promise, state: worst?.state ?? 'ok', detail: worst?.detail ?? fine };
}

/** By the pods themselves, which are true also when no operator writes status. */
function frontFaults({ region, pods }: RegionSeen): readonly Fault[] {
  return (['loadbalancer', 'webapi'] as const).flatMap((program): Fault[] => {
    const own = pods.filter(({ metadata: { labels } }) => labels?.[partLabels.service] === program);
    const ready = own.filter(pod => pod.status?.conditions?.some(is('Ready', 'True'))).length;
    const desired = region.status?.programs?.find(({ name }) => name === program)?.desired ?? own.length;
    const look = `kubectl get pods -l ${partLabels.service}=${program}`;
    if (ready === 0) return [{ state: 'broken', detail: `no pod of ${program} is ready: ${look}` }];
    if (ready < desired)
      return [{ state: 'weak', detail: `${ready} of ${desired} pods of ${program} are ready: ${look}` }];
    return [];
  });
}

function shardFaults(shards: readonly Stored<Shard>[]): readonly Fault[] {
  if (shards.length === 0) return [{ state: 'broken', detail: 'there is no shard for it: kubectl get mshard' }];
  return shards.flatMap(({ metadata: { name }, spec, status }): Fault[] => {
    const next = `kubectl manta shard status ${name}`;
    if (!status?.conditions?.some(is('Ready', 'True')))
      return [{ state: 'broken', detail: `${name} takes no writes: ${next}` }];
    const isTolerant = spec.peers === 1 || status.conditions.some(is('FaultTolerant', 'True'));
    return isTolerant ? [] : [{ state: 'weak', detail: `${name} has no room for a fault: ${next}` }];
  });
}

/** Every object has a copy elsewhere; how many nodes can be away at once is the number of copies less one. */
function copyFaults({ region, storageNodes }: RegionSeen): readonly Fault[] {
  const away = storageNodes.filter(({ status }) => !status?.conditions?.some(is('Ready', 'True')));
  if (away.length === 0) return [];
  const names = away.map(({ metadata }) => metadata.name).join(', ');
  const detail = `${names} not ready: kubectl manta storage list`;
  return [{ state: away.length < region.spec.storage.defaultCopies ? 'weak' : 'broken', detail }];
}

function spaceFaults({ region, storageNodes }: RegionSeen): readonly Fault[] {
  const writable = storageNodes.filter(({ status }) => status?.conditions?.some(is('Writable', 'True'))).length;
  const { defaultCopies } = region.spec.storage;
  const detail = `${writable} of ${storageNodes.length} storage nodes take objects, which have ${defaultCopies} copies: kubectl manta storage list`;
  if (writable < defaultCopies) return [{ state: 'broken', detail }];
  return writable === defaultCopies && storageNodes.length > defaultCopies ? [{ state: 'weak', detail }] : [];
}

function capacityFaults(seen: RegionSeen): readonly Fault[] {
  const { maxNodePercent = 0, percentUsed = 0 } = seen.region.status?.storage ?? {};
  const most = seen.region.spec.storage.maxUtilizationPercent;
  const detail = `${capacityText(seen.region)}: add storage nodes`;
  if (percentUsed >= most) return [{ state: 'broken', detail }];
  return maxNodePercent >= Math.min(ALMOST_FULL_PERCENT, most) ? [{ state: 'weak', detail }] : [];
}

function capacityText({ status }: Stored<MantaRegion>): string {
  const { percentUsed, maxNodePercent } = status?.storage ?? {};
  return percentUsed === undefined ? 'not known yet' : `${percentUsed} % used, ${maxNodePercent} % on the fullest node`;
}

function checkFaults({ status }: Stored<MantaRegion>, type: string): readonly Fault[] {
  const failed = status?.conditions?.find(is(type, 'False'));
  return failed === undefined ? [] : [{ state: 'broken', detail: failed.message }];
}

function is(type: string, status: Condition['status']) {
  return (condition: { readonly type: string; readonly status: string }) =>
    condition.type === type && condition.status === status;
}
