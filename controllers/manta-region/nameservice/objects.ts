import type { Intent } from '../../../lib/kubernetes/object.ts';
import type { ConfigMap, PodDisruptionBudget, Service, StatefulSet } from '../../../lib/kubernetes/resources.ts';
import { labels, NAMESERVICE, nameserviceHost, nameserviceMembers, PORTS, SECRETS } from '../../names.ts';
import { claimTemplate } from '../../pods/claim-template.ts';
import { nameservicePlacement } from '../../pods/placement.ts';
import { fromPod, podTemplate, secretVolume } from '../../pods/pod-template.ts';
import { templateAnnotation } from '../../pods/template-hash.ts';
import type { RegionView } from '../../region-view.ts';
import { NAMESERVICE_ENTRIES } from '../../secrets/nameservice-secret.ts';

/** Whether members that find their volume empty may form a cluster. operations.md §4.2, *Bootstrap*. */
export type InitialState = 'new' | 'existing';

const CONFIG_MAP = 'manta-nameservice';
const STATE_ENTRY = 'initial-cluster-state';
const VOLUME = '/var/lib/etcd';
const CERTIFICATES = '/etc/etcd/certificates';

/** The DNS names that the members' certificate has to have; `localhost` is for whoever is in a member's pod. */
export function nameserviceNames({ namespace, spec }: RegionView): readonly string[] {
  return [
    ...nameserviceMembers(spec.nameservice.members).map(member => nameserviceHost(member, namespace)),
    'localhost',
  ];
}

/** Read by a member when it starts, so that a change of it replaces no pod. */
export function nameserviceConfigMap(region: RegionView, state: InitialState): Intent<ConfigMap> {
  return { metadata: metadataOf(region, CONFIG_MAP), data: { [STATE_ENTRY]: state } };
}

/** Fixed names for the members, ready or not: they find each other by them before any is ready. */
export function nameserviceService(region: RegionView): Intent<Service> {
  return {
    metadata: metadataOf(region, NAMESERVICE),
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: selectorOf(region),
      ports: [
        { name: 'client', port: PORTS.etcdClient, targetPort: 'client' },
        { name: 'peer', port: PORTS.etcdPeer, targetPort: 'peer' },
      ],
    },
  };
}

/** One member at a time may be evicted. */
export function nameserviceBudget(region: RegionView): Intent<PodDisruptionBudget> {
  return {
    metadata: metadataOf(region, NAMESERVICE),
    spec: { maxUnavailable: 1, selector: { matchLabels: selectorOf(region) } },
  };
}

/** The members: etcd, which takes its flags from the environment. */
export function nameserviceStatefulSet(region: RegionView): Intent<StatefulSet> {
  const { members, storage } = region.spec.nameservice;
  const template = memberTemplate(region);
  return {
    metadata: { ...metadataOf(region, NAMESERVICE), annotations: templateAnnotation(template) },
    spec: {
      serviceName: NAMESERVICE,
      replicas: members,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'RollingUpdate' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: selectorOf(region) },
      template,
      volumeClaimTemplates: [
        claimTemplate('data', { ...region.labelsOf('nameservice'), [labels.retain]: 'true' }, storage),
      ],
    },
  };
}

function memberTemplate(region: RegionView) {
  const environment = etcdEnvironment(region);
  return podTemplate(region, {
    program: 'nameservice',
    configuration: JSON.stringify(environment),
    placement: nameservicePlacement(region),
    graceSeconds: 60,
    container: {
      command: ['etcd'],
      env: environment,
      ports: [
        { name: 'client', containerPort: PORTS.etcdClient },
        { name: 'peer', containerPort: PORTS.etcdPeer },
      ],
      volumeMounts: [
        { name: 'data', mountPath: VOLUME },
        { name: 'certificates', mountPath: CERTIFICATES, readOnly: true },
      ],
      startupProbe: probe('/livez', { periodSeconds: 2, failureThreshold: 150, timeoutSeconds: 5 }),
      livenessProbe: probe('/livez', { periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5 }),
      readinessProbe: probe('/readyz', { periodSeconds: 3, failureThreshold: 2, timeoutSeconds: 3 }),
    },
    volumes: [
      secretVolume(
        'certificates',
        SECRETS.nameservice,
        sameNames(['caCertificate', 'certificate', 'key', 'tokenKey', 'tokenPublicKey']),
      ),
    ],
  });
}

/** operations.md §4.2, replication.md §6.3. The names of etcd's flags, as it reads them from the environment. */
function etcdEnvironment(region: RegionView) {
  const { namespace, spec } = region;
  const members = nameserviceMembers(spec.nameservice.members);
  const url = (host: string, port: number) => `https://${host}:${port}`;
  const initial = members.map(name => `${name}=${url(nameserviceHost(name, namespace), PORTS.etcdPeer)}`);
  const own = nameserviceHost('$(POD_NAME)', namespace);
  const file = (name: 'caCertificate' | 'certificate' | 'key' | 'tokenKey' | 'tokenPublicKey') =>
    `${CERTIFICATES}/${NAMESERVICE_ENTRIES[name]}`;
  const flags = {
    ETCD_NAME: '$(POD_NAME)',
    // Below the mount, because etcd wants it to itself and the mount belongs to a group.
    ETCD_DATA_DIR: `${VOLUME}/data`,
    ETCD_LISTEN_CLIENT_URLS: url('0.0.0.0', PORTS.etcdClient),
    ETCD_LISTEN_PEER_URLS: url('0.0.0.0', PORTS.etcdPeer),
    ETCD_ADVERTISE_CLIENT_URLS: url(own, PORTS.etcdClient),
    ETCD_INITIAL_ADVERTISE_PEER_URLS: url(own, PORTS.etcdPeer),
    ETCD_INITIAL_CLUSTER: initial.join(','),
    ETCD_INITIAL_CLUSTER_TOKEN: `${namespace}/${region.name}`,
    ETCD_CERT_FILE: file('certificate'),
    ETCD_KEY_FILE: file('key'),
    ETCD_PEER_CERT_FILE: file('certificate'),
    ETCD_PEER_KEY_FILE: file('key'),
    ETCD_PEER_TRUSTED_CA_FILE: file('caCertificate'),
    ETCD_PEER_CLIENT_CERT_AUTH: 'true',
    // One certificate is all members': the name that a connection comes from says nothing.
    ETCD_PEER_SKIP_CLIENT_SAN_VERIFICATION: 'true',
    ETCD_AUTH_TOKEN: `jwt,pub-key=${file('tokenPublicKey')},priv-key=${file('tokenKey')},sign-method=ES256,ttl=10m`,
    ETCD_HEARTBEAT_INTERVAL: '50',
    ETCD_ELECTION_TIMEOUT: '500',
    // The client of lib/coordinator pings every second.
    ETCD_GRPC_KEEPALIVE_MIN_TIME: '500ms',
    ETCD_AUTO_COMPACTION_MODE: 'periodic',
    ETCD_AUTO_COMPACTION_RETENTION: '1h',
    ETCD_QUOTA_BACKEND_BYTES: String(2 * 2 ** 30),
    ETCD_LOG_LEVEL: 'info',
  };
  return [
    fromPod('POD_NAME', 'metadata.name'),
    ...Object.entries(flags).map(([name, value]) => ({ name, value })),
    {
      name: 'ETCD_INITIAL_CLUSTER_STATE',
      valueFrom: { configMapKeyRef: { name: CONFIG_MAP, key: STATE_ENTRY } },
    },
  ];
}

function probe(path: string, settings: { periodSeconds: number; failureThreshold: number; timeoutSeconds: number }) {
  return { httpGet: { path, port: 'client', scheme: 'HTTPS' }, ...settings };
}

function sameNames(entries: readonly ('caCertificate' | 'certificate' | 'key' | 'tokenKey' | 'tokenPublicKey')[]) {
  return Object.fromEntries(entries.map(entry => [NAMESERVICE_ENTRIES[entry], NAMESERVICE_ENTRIES[entry]]));
}

function selectorOf(region: RegionView) {
  return { [labels.service]: NAMESERVICE, [labels.region]: region.name };
}

function metadataOf(region: RegionView, name: string) {
  return { name, namespace: region.namespace, labels: region.labelsOf('nameservice') };
}
