import type { EndpointSlice } from '../../lib/kubernetes/resources.ts';
import type { Backend } from './config.ts';

type Endpoint = NonNullable<EndpointSlice['endpoints']>[number];

/**
 * The addresses behind a Service, each once, in an order that does not change: of ready endpoints, and while there is none
 * of those that end but still serve, as kube-proxy does it. Slices of host names have none.
 */
export function backendsOf(slices: Iterable<EndpointSlice>, portName: string): readonly Backend[] {
  const all = [...slices].filter(({ addressType }) => addressType !== 'FQDN');
  const ready = addressesOf(all, portName, ({ conditions }) => conditions?.ready ?? true);
  if (ready.length > 0) return ready;
  return addressesOf(all, portName, ({ conditions }) => conditions?.serving === true);
}

function addressesOf(
  slices: readonly EndpointSlice[],
  portName: string,
  isWanted: (endpoint: Endpoint) => boolean,
): readonly Backend[] {
  const found = new Map<string, Backend>();
  for (const { endpoints, ports } of slices) {
    const port = ports?.find(({ name }) => (name ?? '') === portName)?.port;
    if (port === undefined) continue;
    // All addresses of one endpoint are the same pod.
    for (const {
      addresses: [address],
    } of (endpoints ?? []).filter(isWanted)) {
      if (address !== undefined) found.set(`${address} ${port}`, { address, port });
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, backend]) => backend);
}
