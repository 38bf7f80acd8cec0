import { stringify } from 'yaml';
import type { z } from 'zod';
import { parseProgramConfig, type programConfigSchema } from '../../images/storage/program-config.ts';
import type { Intent } from '../../lib/kubernetes/object.ts';
import type {
  ConfigMap,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Service,
  StatefulSet,
} from '../../lib/kubernetes/resources.ts';
import { storageIdOf } from '../../lib/resources/names.ts';
import type { StorageNode } from '../../lib/resources/types.ts';
import { labels, PORTS, SECRETS } from '../names.ts';
import { claimSpec } from '../pods/claim-template.ts';
import { storagePlacement } from '../pods/placement.ts';
import { fromPod, httpProbe, podTemplate, secretVolume } from '../pods/pod-template.ts';
import { templateAnnotation } from '../pods/template-hash.ts';
import type { RegionView } from '../region-view.ts';
import { regionKeyEntries } from '../secrets/region-key.ts';

/** What of a StorageNode its objects follow from. */
export interface NodeView {
  /** `stor-2`. */
  readonly name: string;
  readonly spec: StorageNode['spec'];
}

/** The rendered configuration, and what it names. */
export interface RenderedNode {
  readonly config: string;
  readonly publicKids: readonly string[];
}

/** Name of the headless Service of all storage pods. */
export const STORAGE = 'storage';

const PATHS = {
  data: '/data',
  token: '/etc/manta/token',
  keys: '/etc/manta/region-key',
  config: '/etc/manta/config',
} as const;
const SOME_POD = { POD_IP: '192.0.2.1', NODE_NAME: 'node' };

/** The claim on the volume of a storage node: its own, or the one that the resource names. */
export function claimNameOf({ name, spec }: NodeView): string {
  return spec.volume.claimName ?? name;
}

/** The configuration file of a storage node, which its own schema has accepted. Throws ZodError otherwise. */
export function storageConfig(region: RegionView, node: NodeView, publicKids: readonly string[]): string {
  const { spec, namespace } = region;
  const failureDomain = node.spec.failureDomain ?? (spec.profile === 'dev' ? node.name : undefined);
  const storage = {
    storageId: storageIdOf(node.name, spec),
    dir: PATHS.data,
    host: '0.0.0.0',
    port: PORTS.http,
    datacenter: node.spec.zone,
    webapiUrl: `http://webapi.${namespace}.svc:${PORTS.control}`,
    ...(failureDomain === undefined ? {} : { failureDomain }),
  };
  const config: Omit<z.input<typeof programConfigSchema>, 'storage'> & { readonly storage: object } = {
    storage,
    region: spec.regionName,
    control: { port: PORTS.control },
    nodeTokenFile: `${PATHS.token}/token`,
    publicKeyFiles: Object.fromEntries(
      publicKids.map(kid => [kid, `${PATHS.keys}/${regionKeyEntries(kid).publicKey}`]),
    ),
    logLevel: spec.services.storage.logLevel,
  };
  parseProgramConfig(config, SOME_POD);
  return stringify(config);
}

/** The rendered configuration, `stor-<n>`. */
export function storageConfigMap(region: RegionView, node: NodeView, config: string): Intent<ConfigMap> {
  return { metadata: metadataOf(region, node), data: { 'config.yaml': config } };
}

/** The claim of a storage node that brings none. It is nobody's: it outlives the StorageNode. */
export function storageClaim(region: RegionView, node: NodeView, size: string): Intent<PersistentVolumeClaim> {
  const { class: storageClassName } = node.spec.volume;
  const metadata = metadataOf(region, node);
  return {
    metadata: { ...metadata, labels: { ...metadata.labels, [labels.retain]: 'true' } },
    spec: claimSpec({ size, ...(storageClassName === undefined ? {} : { class: storageClassName }) }),
  };
}

/** One pod on one volume; replaced by the controllers alone, one in the region at a time. */
export function storageStatefulSet(region: RegionView, node: NodeView, rendered: RenderedNode): Intent<StatefulSet> {
  const selector = { [labels.service]: 'storage', [labels.region]: region.name, [labels.storageNode]: node.name };
  const template = storageTemplate(region, node, rendered);
  return {
    metadata: { ...metadataOf(region, node), annotations: templateAnnotation(template) },
    spec: {
      serviceName: STORAGE,
      replicas: 1,
      updateStrategy: { type: 'OnDelete' },
      revisionHistoryLimit: 3,
      selector: { matchLabels: selector },
      template,
    },
  };
}

function storageTemplate(region: RegionView, node: NodeView, { config, publicKids }: RenderedNode) {
  const { data, token, keys, config: configDir } = PATHS;
  return podTemplate(region, {
    program: 'storage',
    labels: { [labels.storageNode]: node.name },
    configuration: config,
    placement: storagePlacement(region, node.spec),
    graceSeconds: 60,
    container: {
      args: [`${configDir}/config.yaml`],
      env: [fromPod('POD_IP', 'status.podIP'), fromPod('NODE_NAME', 'spec.nodeName')],
      ports: [
        { name: 'http', containerPort: PORTS.http },
        { name: 'control', containerPort: PORTS.control },
      ],
      volumeMounts: [
        { name: 'data', mountPath: data },
        { name: 'token', mountPath: token, readOnly: true },
        { name: 'region-key', mountPath: keys, readOnly: true },
        { name: 'config', mountPath: configDir, readOnly: true },
      ],
      startupProbe: httpProbe('/livez', 'control', { periodSeconds: 1, failureThreshold: 300 }),
      livenessProbe: httpProbe('/livez', 'control', { periodSeconds: 5, failureThreshold: 6, timeoutSeconds: 5 }),
      readinessProbe: httpProbe('/readyz', 'control', { periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 }),
    },
    volumes: [
      { name: 'data', persistentVolumeClaim: { claimName: claimNameOf(node) } },
      secretVolume('token', SECRETS.nodeTokens, { [node.name]: 'token' }),
      secretVolume(
        'region-key',
        SECRETS.regionKey,
        Object.fromEntries(publicKids.map(kid => [regionKeyEntries(kid).publicKey, regionKeyEntries(kid).publicKey])),
      ),
      { name: 'config', configMap: { name: node.name } },
    ],
  });
}

/** Names for all storage pods of the region: `stor-2-0.storage`. */
export function storageService(region: RegionView): Intent<Service> {
  return {
    metadata: { name: STORAGE, namespace: region.namespace, labels: region.labelsOf('storage') },
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: storageSelector(region),
      ports: [
        { name: 'http', port: PORTS.http, targetPort: 'http' },
        { name: 'control', port: PORTS.control, targetPort: 'control' },
      ],
    },
  };
}

/** Of all storage pods of the region one at a time may be evicted: reads use other copies, writes other nodes. */
export function storageBudget(region: RegionView): Intent<PodDisruptionBudget> {
  return {
    metadata: { name: STORAGE, namespace: region.namespace, labels: region.labelsOf('storage') },
    spec: { maxUnavailable: 1, selector: { matchLabels: storageSelector(region) } },
  };
}

function storageSelector(region: RegionView) {
  return { [labels.service]: 'storage', [labels.region]: region.name };
}

function metadataOf(region: RegionView, node: NodeView) {
  return {
    name: node.name,
    namespace: region.namespace,
    labels: { ...region.labelsOf('storage'), [labels.storageNode]: node.name },
  };
}
