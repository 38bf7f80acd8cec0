import type { GoProgram } from './go-program.ts';

/** What a cluster is made of, and in which versions; all of them have been seen to work together. */
export const CLUSTER_VERSIONS = {
  kubernetes: '1.37.2',
  containerd: '2.4.2',
  runc: '1.5.2',
  cniPlugins: '1.9.1',
  coredns: '1.15.0',
  helm: '4.3.1',
} as const;

/** A program of Kubernetes' own module. */
export type KubernetesProgramName =
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubelet'
  | 'kube-proxy'
  | 'kubectl';

/** One at a time, because the API server alone, which tests want, is already most of the work. */
export function kubernetesProgram<Name extends KubernetesProgramName>(name: Name): GoProgram<Name> {
  const version = CLUSTER_VERSIONS.kubernetes;
  const [major = '', minor = '', patch = ''] = version.split('.');
  const says = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  // Without these stamps each of them takes itself for v0.0.0-master, and what they decide by version goes wrong.
  const stamped = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  return {
    name,
    version,
    module: 'k8s.io/kubernetes',
    packages: { [name]: `k8s.io/kubernetes/cmd/${name}` } as Record<Name, string>,
    stamps: Object.fromEntries(
      stamped.flatMap(place => Object.entries(says).map(([key, value]) => [`${place}.${key}`, value])),
    ),
    foldersVersion: `0.${minor}.${patch}`,
  };
}

/** containerd, and the shim that it finds beside itself. */
export const CONTAINERD = {
  name: 'containerd',
  version: CLUSTER_VERSIONS.containerd,
  module: 'github.com/containerd/containerd/v2',
  packages: {
    containerd: 'github.com/containerd/containerd/v2/cmd/containerd',
    'containerd-shim-runc-v2': 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    ctr: 'github.com/containerd/containerd/v2/cmd/ctr',
  },
  stamps: { 'github.com/containerd/containerd/v2/version.Version': `v${CLUSTER_VERSIONS.containerd}` },
  tags: ['no_btrfs', 'no_devmapper', 'no_zfs'],
} as const satisfies GoProgram;

export const RUNC = {
  name: 'runc',
  version: CLUSTER_VERSIONS.runc,
  module: 'github.com/opencontainers/runc',
  packages: { runc: 'github.com/opencontainers/runc' },
  stamps: { 'main.version': CLUSTER_VERSIONS.runc },
  tags: ['seccomp', 'netgo', 'osusergo'],
  cgo: { needs: 'gcc, pkg-config and libseccomp-dev' },
} as const satisfies GoProgram;

/** All in one directory, as containerd wants them. */
export const CNI_PLUGINS = {
  name: 'cni-plugins',
  version: CLUSTER_VERSIONS.cniPlugins,
  module: 'github.com/containernetworking/plugins',
  packages: {
    bridge: 'github.com/containernetworking/plugins/plugins/main/bridge',
    ptp: 'github.com/containernetworking/plugins/plugins/main/ptp',
    loopback: 'github.com/containernetworking/plugins/plugins/main/loopback',
    'host-local': 'github.com/containernetworking/plugins/plugins/ipam/host-local',
    portmap: 'github.com/containernetworking/plugins/plugins/meta/portmap',
  },
  stamps: {
    'github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion': `v${CLUSTER_VERSIONS.cniPlugins}`,
  },
} as const satisfies GoProgram;

/** CoreDNS with the plugins that `main`, the text of its main.go, imports: all that it has are twice the build. */
export function coredns(main: string): GoProgram<'coredns'> {
  return {
    name: 'coredns',
    version: CLUSTER_VERSIONS.coredns,
    module: 'github.com/coredns/coredns',
    packages: { coredns: '.' },
    sources: { 'main.go': main },
  };
}

export const HELM = {
  name: 'helm',
  version: CLUSTER_VERSIONS.helm,
  module: 'helm.sh/helm/v4',
  packages: { helm: 'helm.sh/helm/v4/cmd/helm' },
  stamps: { 'helm.sh/helm/v4/internal/version.version': `v${CLUSTER_VERSIONS.helm}` },
} as const satisfies GoProgram;
