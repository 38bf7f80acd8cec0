import type { Clock } from '../lifecycle/clock.ts';
import { createClient } from './client.ts';
import { loadCredentials } from './credentials.ts';
import type { Kubernetes } from './kubernetes.ts';
import type { KubernetesLocation } from './location.ts';
import { createTransport, type Exchange, TRANSPORT_DEFAULTS, type TransportConfig } from './transport.ts';

export interface KubernetesDeps {
  readonly clock: Clock;
  /** Told of every request and its answer; for metrics. */
  readonly observe?: (exchange: Exchange) => void;
}

export interface KubernetesConfig extends Partial<TransportConfig> {
  readonly location: KubernetesLocation;
}

/**
 * A client of the API server that `location` names. Reads the credentials once, so that a wrong configuration fails
 * here; connects with the first call. Throws MantaError `KubeconfigInvalid`, or a file system's error.
 */
export async function connectKubernetes(deps: KubernetesDeps, config: KubernetesConfig): Promise<Kubernetes> {
  const { location, ...limits } = config;
  const credentials = await loadCredentials(location);
  await credentials.read();
  const transport = createTransport({ ...deps, credentials }, { ...TRANSPORT_DEFAULTS, ...limits });
  return createClient(transport, { namespace: credentials.namespace ?? 'default' });
}
