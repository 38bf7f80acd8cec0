import { stringify } from 'yaml';

/** What a client of one API server presents. */
export type KubernetesCredentials = { readonly certificate: string; readonly key: string } | { readonly token: string };

/** A kubeconfig that kubectl and every client library reads, with everything in it; `authority` and certificates are PEM. */
export function kubeconfigOf(server: { url: string; authority: string }, credentials: KubernetesCredentials): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const user =
    'token' in credentials
      ? { token: credentials.token }
      : {
          'client-certificate-data': base64(credentials.certificate),
          'client-key-data': base64(credentials.key),
        };
  const name = 'manta-test';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: server.url, 'certificate-authority-data': base64(server.authority) } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  });
}
