import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { MantaError } from '../errors/manta-error.ts';

/** Where the API server and the credentials for it are described. */
export type KubernetesLocation =
  | {
      readonly kind: 'kubeconfig';
      /** Merged as kubectl merges them: the first that says something wins. */
      readonly files: readonly string[];
      /** Default: the current context. */
      readonly context?: string;
    }
  | {
      /** A pod's service account. */
      readonly kind: 'in-cluster';
      readonly host: string;
      readonly port: string;
      /** Where `token`, `ca.crt` and `namespace` are. */
      readonly dir: string;
    };

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Finds the API server as controller-runtime does: `KUBECONFIG`, then the pod's service account, then
 * `~/.kube/config`. For a program's `main.ts`, which alone reads the environment. Throws MantaError
 * `KubernetesMissing`.
 */
export function locateKubernetes(env: Readonly<Record<string, string | undefined>>): KubernetesLocation {
  const files = (env.KUBECONFIG ?? '').split(delimiter).filter(file => file !== '');
  if (files.length > 0) return { kind: 'kubeconfig', files };
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (host !== undefined && host !== '') return { kind: 'in-cluster', host, port, dir: SERVICE_ACCOUNT_DIR };
  const file = join(env.HOME ?? '', '.kube', 'config');
  if (existsSync(file)) return { kind: 'kubeconfig', files: [file] };
  throw new MantaError('KubernetesMissing', 'no KUBECONFIG, no service account and no ~/.kube/config: which cluster?');
}
