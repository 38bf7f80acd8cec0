import { nodeAddress, nodeName, SERVICE_NETWORK } from './addresses.ts';
import { CONFIGURATION, PROGRAMS } from './node-root.ts';

/** What runs on every node, in the order in which it starts. */
export const NODE_PROGRAMS = ['containerd', 'kube-proxy', 'kube-router', 'kubelet'] as const;
export type NodeProgram = (typeof NODE_PROGRAMS)[number];

/** The command of a node's program, as it is run on the node. */
export function nodeCommand(program: NodeProgram, number: number, labels: Readonly<Record<string, string>>): string[] {
  const name = nodeName(number);
  const path = `${PROGRAMS}/bin/${program}`;
  switch (program) {
    case 'containerd':
      return [path, '--config', `${CONFIGURATION}/containerd.toml`, '--log-level', 'warn'];
    case 'kube-proxy':
      return [path, '--config', `${CONFIGURATION}/kube-proxy.yaml`, '--v', '1'];
    case 'kube-router':
      // It enforces NetworkPolicies, with iptables and ipset, and does nothing else here.
      return [
        ...[path, '--run-firewall=true', '--run-router=false', '--run-service-proxy=false', '--enable-cni=false'],
        ...[`--kubeconfig=${CONFIGURATION}/router.kubeconfig`, `--hostname-override=${name}`],
        ...[`--service-cluster-ip-range=${SERVICE_NETWORK}`, '--metrics-port=0', '--iptables-sync-period=1m'],
      ];
    case 'kubelet':
      return withItsSysctls([
        ...[path, '--config', `${CONFIGURATION}/kubelet.yaml`, '--kubeconfig', `${CONFIGURATION}/kubelet.kubeconfig`],
        ...['--hostname-override', name, '--node-ip', nodeAddress(number)],
        ...[
          '--node-labels',
          Object.entries(labels)
            .map(pair => pair.join('='))
            .join(','),
        ],
      ]);
  }
}

/** Kernel settings that kubelet wants; they are the whole machine's. */
const SYSCTLS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

/**
 * Kubelet writes settings that are not as it wants them. It is shown files that say so, in a mount namespace of its own:
 * where runc works nothing may lie over /proc, or pods in user namespaces cannot mount theirs. What kubelet mounts below
 * /var/lib/kubelet still reaches the others, because that is shared.
 */
function withItsSysctls(command: readonly string[]): string[] {
  const mounts = Object.entries(SYSCTLS).map(([name, value]) => {
    const file = `/run/kubelet-sysctls/${name.replaceAll('/', '_')}`;
    return `echo ${value} > ${file}; mount --bind ${file} /proc/sys/${name}`;
  });
  const script = ['set -eu', 'mkdir -p /run/kubelet-sysctls', ...mounts, 'exec "$@"'].join('\n');
  return ['unshare', '--mount', '--propagation', 'unchanged', 'sh', '-c', script, 'sh', ...command];
}
