import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { CLUSTER_DOMAIN, DNS_ADDRESS, nodeAddress, nodeName, POD_NETWORK, podNetworkOf } from './addresses.ts';
import { PAUSE_IMAGE } from './images.ts';
import { CONFIGURATION, PROGRAMS } from './node-root.ts';

/** The files of a node's programs, by name in its configuration directory. */
export function nodeConfiguration(number: number, cgroup: string): Readonly<Record<string, string>> {
  return {
    'containerd.toml': containerd(),
    'kubelet.yaml': stringify(kubelet(number, cgroup)),
    'kube-proxy.yaml': stringify(kubeProxy(nodeName(number), `${CONFIGURATION}/proxy.kubeconfig`)),
  };
}

/** The pod network of a node, for its CNI directory. */
export function cniConfiguration(number: number): string {
  const ipam = {
    type: 'host-local',
    // In /run: a node that comes back after a power cut has no pods, and so no leases.
    dataDir: '/run/cni-leases',
    ranges: [[{ subnet: podNetworkOf(number) }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  // Point to point and not bridged: every packet of a pod is routed, and so passes the rules of NetworkPolicies.
  const plugins = [
    { type: 'ptp', ipMasq: false, mtu: 1500, ipam },
    { type: 'portmap', capabilities: { portMappings: true } },
  ];
  return JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins });
}

/** `kubeconfig` is a path. */
export function kubeProxy(hostname: string, kubeconfig: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    hostnameOverride: hostname,
    bindAddress: '0.0.0.0',
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    clusterCIDR: POD_NETWORK,
    detectLocalMode: 'ClusterCIDR',
    clientConnection: { kubeconfig },
    // 0 leaves the kernel's settings alone: outside of the machine's own network namespace they cannot be written.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

function containerd(): string {
  return `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "${PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  max_container_log_line_size = 262144
  restrict_oom_score_adj = ${!mayLowerOomScores()}
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["${PROGRAMS}/cni"]
    conf_dir = "/etc/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "${PROGRAMS}/bin/runc"
        SystemdCgroup = false
`;
}

/** Some sandboxes withhold CAP_SYS_RESOURCE even from root: then runc starts no pod that asks for a lower score. */
function mayLowerOomScores(): boolean {
  const [, bounding = '0'] = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return (BigInt(`0x${bounding}`) & (1n << 24n)) !== 0n;
}

function kubelet(number: number, cgroup: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: nodeAddress(number),
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${CONFIGURATION}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${CONFIGURATION}/kubelet.crt`,
    tlsPrivateKeyFile: `${CONFIGURATION}/kubelet.key`,
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    cgroupsPerQOS: true,
    enforceNodeAllocatable: ['pods'],
    // Since 1.35 the default is to refuse a machine with cgroup v1.
    failCgroupV1: false,
    failSwapOn: false,
    clusterDNS: [DNS_ADDRESS],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: '/etc/resolv.conf',
    seccompDefault: true,
    nodeStatusUpdateFrequency: '4s',
    nodeStatusReportFrequency: '30s',
    // Renewed every quarter of it; the controller manager's grace period belongs to it.
    nodeLeaseDurationSeconds: 12,
    // Images are imported by hand and cannot be pulled again: never collect them.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '1%',
      'nodefs.inodesFree': '1%',
      'imagefs.available': '1%',
    },
    volumePluginDir: '/run/kubelet-plugins',
    shutdownGracePeriod: '0s',
    logging: { verbosity: 1 },
  };
}
