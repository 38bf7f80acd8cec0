import type { ClusterStatus } from './cluster/orders.ts';
import { type ClusterPlace, kubeconfigOf } from './cluster/place.ts';

const MIB = 1_048_576;

/** What `up` tells about how to use the cluster. */
export function banner(status: ClusterStatus, place: ClusterPlace): string {
  return `
${describe(status)}
  export KUBECONFIG=${kubeconfigOf(place)}
  export PATH=${place.dir}/programs/bin:$PATH      # kubectl, helm

Services and pods, from this machine through a proxy that knows their names:
  curl -x http://127.0.0.1:${status.proxyPort} http://NAME.NAMESPACE.svc.cluster.local/
or with a shell in the cluster's network:
  npm run e2e -- run bash

Logs: ${place.dir}/logs      npm run e2e -- help      npm run e2e -- down
`;
}

/** What runs and how much memory it holds, a line each. */
export function describe(status: ClusterStatus): string {
  const rows = [
    { name: 'control plane', where: '', isUp: true, ...status.controlPlane },
    ...status.nodes.map(node => ({ ...node, where: node.zone })),
  ];
  const lines = rows.map(({ name, where, isUp, programs, memoryBytes }) => {
    const memory = memoryBytes === undefined ? '' : `${Math.round(memoryBytes / MIB)} MiB`;
    const down = programs.filter(({ pid }) => pid === undefined).map(program => program.name);
    const state = isUp ? down.map(program => `${program} is down`).join(', ') : 'no power';
    return `  ${name.padEnd(14)} ${where.padEnd(8)} ${memory.padStart(9)}  ${state}`.trimEnd();
  });
  return `${lines.join('\n')}\n`;
}
