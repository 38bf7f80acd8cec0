import type { Intent } from '../../lib/kubernetes/object.ts';
import type { ConfigMap, PodDisruptionBudget, Service, StatefulSet } from '../../lib/kubernetes/resources.ts';
import { nodeLabels, shardNumberOf, shardWorkloadOf } from '../../lib/resources/names.ts';
import { withResources } from '../../lib/resources/pod-resources.ts';
import type { ClaimTemplate, Shard } from '../../lib/resources/types.ts';
import { labels, MANAGER, PORTS, SECRETS } from '../names.ts';
import { claimTemplate } from '../pods/claim-template.ts';
import { peerPlacement } from '../pods/placement.ts';
import { fromPod, httpProbe, podTemplate, secretVolume } from '../pods/pod-template.ts';
import { templateAnnotation } from '../pods/template-hash.ts';
import type { RegionView } from '../region-view.ts';
import { NAMESERVICE_ENTRIES } from '../secrets/nameservice-secret.ts';
import { POSTGRES_ROLES, postgresEntry } from '../secrets/postgres-secret.ts';
import { SITTER_PATHS, sitterConfig } from './sitter-config.ts';

/** What of a Shard its objects follow from. */
export interface ShardView {
  /** `shard-3`. */
  readonly name: string;
  readonly spec: Shard['spec'];
}

/** Names of the two claim templates, which the names of the claims begin with. */
export type ClaimName = 'data' | 'wal';

/** What a StatefulSet cannot change while it exists. */
export interface LaidOut {
  readonly replicas: number;
  readonly claims: Readonly<Record<ClaimName, ClaimTemplate>>;
}

/** Labels that select the pods of a shard. */
export function peerSelector(region: RegionView, shard: string): Readonly<Record<string, string>> {
  return { [labels.service]: 'postgres', [labels.region]: region.name, [labels.shard]: shard };
}

/** Name of the claim of one peer: `data-pg-3-0`. */
export function claimOf(name: ClaimName, peer: string): string {
  return `${name}-${peer}`;
}

/** The configuration of the peers, `pg-<n>`. */
export function shardConfigMap(region: RegionView, shard: ShardView): Intent<ConfigMap> {
  return {
    metadata: metadataOf(region, shard, shardWorkloadOf(shard.name)),
    data: { 'config.yaml': configOf(region, shard) },
  };
}

/** Names for the peers, ready or not. */
export function shardService(region: RegionView, shard: ShardView): Intent<Service> {
  return {
    metadata: metadataOf(region, shard, shardWorkloadOf(shard.name)),
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: peerSelector(region, shard.name),
      ports: [
        { name: 'postgres', port: PORTS.postgres, targetPort: 'postgres' },
        { name: 'control', port: PORTS.sitter, targetPort: 'control' },
      ],
    },
  };
}

/** The primary by its label, for people with `psql`: no program uses it. */
export function primaryService(region: RegionView, shard: ShardView): Intent<Service> {
  return {
    metadata: metadataOf(region, shard, `${shardWorkloadOf(shard.name)}-rw`),
    spec: {
      selector: { ...peerSelector(region, shard.name), [labels.role]: 'primary' },
      ports: [{ name: 'postgres', port: PORTS.postgres, targetPort: 'postgres' }],
    },
  };
}

/** One peer at a time may be evicted; SIGTERM hands its role over. operations.md §4.3. */
export function shardBudget(region: RegionView, shard: ShardView): Intent<PodDisruptionBudget> {
  return {
    metadata: metadataOf(region, shard, shardWorkloadOf(shard.name)),
    spec: { maxUnavailable: 1, selector: { matchLabels: peerSelector(region, shard.name) } },
  };
}

/** The peers. Pods are replaced by the Shard controller alone, in an order that the roles give. replication.md §12.1. */
export function shardStatefulSet(region: RegionView, shard: ShardView, laidOut: LaidOut): Intent<StatefulSet> {
  const name = shardWorkloadOf(shard.name);
  const template = peerTemplate(region, shard);
  return {
    metadata: { ...metadataOf(region, shard, name), annotations: templateAnnotation(template) },
    spec: {
      serviceName: name,
      replicas: laidOut.replicas,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      revisionHistoryLimit: 3,
      selector: { matchLabels: peerSelector(region, shard.name) },
      template,
      volumeClaimTemplates: (['data', 'wal'] as const).map(claim =>
        claimTemplate(claim, claimLabels(region, shard.name), laidOut.claims[claim]),
      ),
    },
  };
}

function peerTemplate(region: RegionView, shard: ShardView) {
  const { spec, name } = shard;
  const { data, wal, run, passwords, nameservice, pod, config } = SITTER_PATHS;
  return podTemplate(region, {
    program: 'postgres',
    labels: { [labels.shard]: name },
    configuration: configOf(region, shard),
    placement: peerPlacement(region, name, spec),
    resources: withResources(region.spec.services.postgres.resources, spec.postgres.resources),
    graceSeconds: 120,
    container: {
      args: ['--config', `${config}/config.yaml`],
      env: [
        fromPod('POD_NAME', 'metadata.name'),
        fromPod('POD_IP', 'status.podIP'),
        fromPod('NODE_NAME', 'spec.nodeName'),
        { name: 'MANTA_POSTGRES_DATA', value: data },
      ],
      ports: [
        { name: 'postgres', containerPort: PORTS.postgres },
        { name: 'control', containerPort: PORTS.sitter },
      ],
      volumeMounts: [
        { name: 'data', mountPath: data },
        { name: 'wal', mountPath: wal },
        { name: 'run', mountPath: run },
        { name: 'shared-memory', mountPath: '/dev/shm' },
        { name: 'tmp', mountPath: '/tmp' },
        ...[passwords, nameservice, pod, config].map(mountPath => ({
          name: mountPath.slice(mountPath.lastIndexOf('/') + 1),
          mountPath,
          readOnly: true,
        })),
      ],
      startupProbe: httpProbe('/livez', 'control', { periodSeconds: 1, failureThreshold: 60, timeoutSeconds: 5 }),
      livenessProbe: httpProbe('/livez', 'control', { periodSeconds: 5, failureThreshold: 6, timeoutSeconds: 5 }),
      readinessProbe: httpProbe('/readyz', 'control', { periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 }),
    },
    volumes: volumesOf(shard),
  });
}

function volumesOf(shard: ShardView) {
  const number = shardNumberOf(shard.name);
  const { caCertificate, passwordOf } = NAMESERVICE_ENTRIES;
  return [
    secretVolume(
      'passwords',
      SECRETS.postgres,
      Object.fromEntries(POSTGRES_ROLES.map(role => [postgresEntry(number, role), role])),
    ),
    secretVolume('nameservice', SECRETS.nameservice, {
      [caCertificate]: 'ca.crt',
      [passwordOf(`shard-${number}`)]: 'password',
    }),
    { name: 'config', configMap: { name: shardWorkloadOf(shard.name) } },
    {
      name: 'pod',
      // Clusters that give pods the labels of their node show the zone; elsewhere the file is empty.
      downwardAPI: {
        items: [{ path: 'zone', fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${nodeLabels.zone}']` } }],
      },
    },
    { name: 'run', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
    { name: 'shared-memory', emptyDir: { medium: 'Memory' } },
    { name: 'tmp', emptyDir: {} },
  ];
}

function configOf(region: RegionView, shard: ShardView): string {
  return sitterConfig(region, shardNumberOf(shard.name));
}

/** Of the claims of a shard's peers: they outlive pods, StatefulSet and Shard. */
function claimLabels(region: RegionView, shard: string) {
  return { ...peerSelector(region, shard), [labels.managedBy]: MANAGER, [labels.retain]: 'true' };
}

function metadataOf(region: RegionView, shard: ShardView, name: string) {
  return {
    name,
    namespace: region.namespace,
    labels: { ...region.labelsOf('postgres'), [labels.shard]: shard.name },
  };
}
