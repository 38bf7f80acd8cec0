import type { Deployment } from '../../lib/kubernetes/resources.ts';
import type { MantaRegionStatus, MantaRegionStatusPrograms, StorageNode } from '../../lib/resources/types.ts';
import { type ConditionUpdate, setConditions } from '../../operator/runtime/condition.ts';
import { addressOf } from '../cluster-nodes.ts';
import { databaseHosts } from '../databases.ts';
import { labels } from '../names.ts';
import { isReady } from '../pods/pod-state.ts';
import { CONFIG_HASH } from '../pods/pod-template.ts';
import { isShardReady, isStorageReady, isWritable } from './readiness.ts';
import type { Turn } from './rollout.ts';
import type { RegionSnapshot } from './snapshot.ts';
import { nextStorageNumber } from './templates.ts';

/** What a region shows of itself: operations.md §3.2.3. Pure; what it does not know now it leaves as it was. */
export function regionStatus(s: RegionSnapshot, conditions: readonly ConditionUpdate[], turn: Turn): MantaRegionStatus {
  const { rollout: _, ...before }: MantaRegionStatus = s.region.status ?? {};
  const nameservice = nameserviceOf(s);
  const { view, region, nowMs } = s;
  const slotMap = s.webapi.look?.slotMap;
  const addresses = addressesOf(s);
  return {
    ...before,
    ...(region.metadata.generation === undefined ? {} : { observedGeneration: region.metadata.generation }),
    conditions: setConditions(before.conditions, conditions, nowMs),
    version: view.version,
    programs: programsOf(s),
    shards: hostsOf(s),
    ...(slotMap === undefined ? {} : { slotMap: { version: slotMap.version, digest: slotMap.digest, moving: 0 } }),
    ...(nameservice === undefined ? {} : { nameservice }),
    storage: storageOf(s.storageNodes),
    frontDoor: { ...before.frontDoor, ...(addresses.length === 0 ? {} : { addresses }) },
    nextStorageNumber: nextStorageNumber(region, s.storageNodes),
    ...(turn.rollout === undefined ? {} : { rollout: turn.rollout }),
    display: displayOf(s, addresses),
  };
}

/** The cluster's id is kept for good once all members were healthy together: no member forms a new one from then on. */
function nameserviceOf({ region, nameservice: { look, claims } }: RegionSnapshot): MantaRegionStatus['nameservice'] {
  const before = region.status?.nameservice;
  const isWhole =
    look?.clusterId !== undefined && look.members.every(({ id, isHealthy }) => id !== undefined && isHealthy);
  const clusterId = before?.clusterId ?? (isWhole ? look.clusterId : undefined);
  const members = look?.members.map(member => {
    const known = before?.members?.find(({ name }) => name === member.name);
    // The volume that a member was made with: another one is an empty member, which has to be replaced first.
    const volume = known?.volume ?? (isWhole ? claims.get(member.name) : undefined);
    return {
      name: member.name,
      ...(member.id === undefined ? {} : { id: member.id }),
      ...(volume === undefined ? {} : { volume }),
      leader: member.isLeader,
      healthy: member.isHealthy,
      ...(member.dbBytes === undefined ? {} : { dbBytes: roundedBytes(member.dbBytes) }),
    };
  });
  return {
    ...(clusterId === undefined ? {} : { clusterId }),
    ...(members === undefined ? (before?.members === undefined ? {} : { members: before.members }) : { members }),
  };
}

/** To whole MiB: what grows all the time is not news. */
function roundedBytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20) * 2 ** 20;
}

function programsOf(s: RegionSnapshot): readonly MantaRegionStatusPrograms[] {
  const { view, pods, shards } = s;
  const readyOf = (selected: Readonly<Record<string, string>>) =>
    pods.filter(
      pod => isReady(pod) && Object.entries(selected).every(([name, value]) => pod.metadata.labels?.[name] === value),
    ).length;
  const line = (name: Parameters<typeof view.image>[0], desired: number, ready: number, hash?: string) => ({
    name,
    desired,
    ready,
    version: view.version,
    image: view.image(name),
    ...(hash === undefined ? {} : { configHash: hash }),
  });
  const replicated = (name: 'webapi' | 'loadbalancer', deployment: Deployment | undefined) =>
    deployment === undefined
      ? []
      : [
          line(
            name,
            deployment.spec?.replicas ?? 0,
            deployment.status?.readyReplicas ?? 0,
            deployment.spec?.template.metadata?.annotations?.[CONFIG_HASH],
          ),
        ];
  return [
    line('nameservice', view.spec.nameservice.members, s.nameservice.statefulSet?.status?.readyReplicas ?? 0),
    ...shards.map(({ metadata: { name }, spec }) => ({
      ...line('postgres', spec.peers, readyOf({ [labels.service]: 'postgres', [labels.shard]: name })),
      shard: name,
    })),
    line('storage', s.storageNodes.length, readyOf({ [labels.service]: 'storage' })),
    ...replicated('webapi', s.webapi.deployment),
    ...replicated('loadbalancer', s.loadbalancer.deployment),
  ];
}

function hostsOf({ shards }: RegionSnapshot): NonNullable<MantaRegionStatus['shards']> {
  const hosts = databaseHosts(shards);
  const index = shards.filter(({ spec }) => spec.databases.includes('index')).map(({ metadata }) => metadata.name);
  return { index, ...Object.fromEntries([...hosts].map(([database, { metadata }]) => [database, metadata.name])) };
}

function storageOf(nodes: readonly StorageNode[]): NonNullable<MantaRegionStatus['storage']> {
  const sum = (field: 'totalBytes' | 'usedBytes') =>
    nodes.reduce((bytes, { status }) => bytes + (status?.capacity?.[field] ?? 0), 0);
  const [totalBytes, usedBytes] = [sum('totalBytes'), sum('usedBytes')];
  return {
    nodes: nodes.length,
    ready: nodes.filter(isStorageReady).length,
    writable: nodes.filter(isWritable).length,
    totalBytes,
    usedBytes,
    percentUsed: totalBytes === 0 ? 0 : Math.round((100 * usedBytes) / totalBytes),
    maxNodePercent: Math.max(0, ...nodes.map(({ status }) => status?.capacity?.percentUsed ?? 0)),
  };
}

/** Of the Service for clients; with NodePort any Node, at the port that all of them listen on. */
function addressesOf({ loadbalancer: { service }, pods, nodes }: RegionSnapshot): readonly string[] {
  if (service === undefined) return [];
  if (service.spec?.type !== 'NodePort')
    return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? []);
  const port = service.spec.ports?.find(({ name }) => name === 'https')?.nodePort;
  const isLocal = service.spec.externalTrafficPolicy === 'Local';
  const balancing = pods.filter(pod => pod.metadata.labels?.[labels.service] === 'loadbalancer' && isReady(pod));
  const listening = nodes.filter(
    ({ metadata }) => !isLocal || balancing.some(({ spec }) => spec?.nodeName === metadata.name),
  );
  const hosts = [...new Set(listening.flatMap(node => addressOf(node) ?? []))].sort();
  const written = (host: string) => (host.includes(':') ? `[${host}]` : host);
  return port === undefined ? [] : hosts.slice(0, 64).map(host => `${written(host)}:${port}`);
}

function displayOf(s: RegionSnapshot, addresses: readonly string[]): NonNullable<MantaRegionStatus['display']> {
  const { shards, storageNodes } = s;
  const { percentUsed, totalBytes } = storageOf(storageNodes);
  return {
    shards: `${shards.filter(isShardReady).length}/${shards.length}`,
    storage: `${storageNodes.filter(isStorageReady).length}/${storageNodes.length}`,
    used: totalBytes === 0 ? '-' : `${percentUsed}%`,
    slots: '-',
    ...(addresses[0] === undefined ? {} : { endpoint: addresses[0] }),
  };
}
