import { DNS_ADDRESS, nodeName } from './addresses.ts';
import { COREDNS_IMAGE } from './images.ts';
import { VOLUMES } from './node-root.ts';

/** The StorageClass of directories on the nodes' own disks. */
export const LOCAL_CLASS = 'manta-local';

/** What every cluster has in it before anybody uses it. */
export function systemObjects(replicas: number): readonly object[] {
  return [...dns(replicas), ...networkPolicyAgent(), localClass()];
}

function dns(replicas: number): readonly object[] {
  const metadata = { name: 'coredns', namespace: 'kube-system' };
  const dnsService = { name: 'kube-dns', namespace: 'kube-system', labels: DNS_LABELS };
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ];
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    ...role('system:coredns', { kind: 'ServiceAccount', ...metadata }, [
      { apiGroups: [''], resources: ['services', 'pods', 'namespaces', 'nodes'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ]),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { Corefile: COREFILE } },
    dnsDeployment(metadata, replicas),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: dnsService,
      spec: { clusterIP: DNS_ADDRESS, selector: DNS_LABELS, ports },
    },
  ];
}

const DNS_LABELS = { 'k8s-app': 'kube-dns' };
/** Answers are kept for less than a Service may take to follow its pods. */
const COREFILE = `.:53 {
  errors
  health {
    lameduck 2s
  }
  ready
  kubernetes cluster.local in-addr.arpa {
    pods insecure
    fallthrough in-addr.arpa
    ttl 2
  }
  cache 2
  loadbalance
}
`;

function dnsDeployment(metadata: object, replicas: number): object {
  const soon = (key: string) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 });
  const spread = {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: DNS_LABELS },
  };
  const container = {
    name: 'coredns',
    image: COREDNS_IMAGE,
    imagePullPolicy: 'Never',
    args: ['-conf', '/etc/coredns/Corefile'],
    readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
    livenessProbe: { httpGet: { path: '/health', port: 8080 }, initialDelaySeconds: 30 },
    resources: { requests: { cpu: '50m', memory: '40Mi' }, limits: { memory: '170Mi' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
    },
    volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas,
      selector: { matchLabels: DNS_LABELS },
      template: {
        metadata: { labels: DNS_LABELS },
        spec: {
          serviceAccountName: 'coredns',
          priorityClassName: 'system-cluster-critical',
          dnsPolicy: 'Default',
          topologySpreadConstraints: [spread],
          tolerations: [soon('node.kubernetes.io/unreachable'), soon('node.kubernetes.io/not-ready')],
          containers: [container],
          volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
        },
      },
    },
  };
}

/** What kube-router, which runs on nodes and not in pods, may read. */
function networkPolicyAgent(): readonly object[] {
  const verbs = ['get', 'list', 'watch'];
  return role('system:kube-router', { kind: 'User', name: 'system:kube-router', apiGroup: RBAC }, [
    { apiGroups: [''], resources: ['namespaces', 'pods', 'services', 'nodes', 'endpoints'], verbs },
    { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs },
  ]);
}

const RBAC = 'rbac.authorization.k8s.io';

function role(name: string, subject: object, rules: readonly object[]): readonly object[] {
  const apiVersion = `${RBAC}/v1`;
  const roleRef = { apiGroup: RBAC, kind: 'ClusterRole', name };
  return [
    { apiVersion, kind: 'ClusterRole', metadata: { name }, rules },
    { apiVersion, kind: 'ClusterRoleBinding', metadata: { name }, roleRef, subjects: [subject] },
  ];
}

function localClass(): object {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: LOCAL_CLASS },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
    reclaimPolicy: 'Delete',
  };
}

/** A directory of a node as a PersistentVolume. Its size is a number for the scheduler: it has all of the disk. */
export function localVolume(node: number, volume: number): object {
  const hostname = { key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName(node)] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `${LOCAL_CLASS}-${nodeName(node)}-${volume}`, labels: { 'manta.local/volume': String(volume) } },
    spec: {
      storageClassName: LOCAL_CLASS,
      capacity: { storage: '100Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      local: { path: `${VOLUMES}/${volume}` },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [hostname] }] } },
    },
  };
}
