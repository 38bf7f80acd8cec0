import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createAuthority,
  issueCertificate,
  type KeyedCertificate,
  type LeafRequest,
} from '../../lib/certificates/issue.ts';
import { API_SERVICE_ADDRESS, CLUSTER_DOMAIN, CONTROL_PLANE_ADDRESS, nodeAddress, nodeName } from './addresses.ts';

/** Everything that the cluster's programs present and trust, as files in one directory. */
export interface Credentials {
  /** Path of a file: `ca.crt`, `apiserver.key`, `admin.kubeconfig`. */
  path(file: string): string;
  /** The texts that a node needs, by the file names it knows them by. */
  ofNode(number: number): Readonly<Record<string, string>>;
}

/** A certificate to be made, and who is to use it to reach the API server. */
interface Wanted {
  readonly name: string;
  readonly request: Omit<LeafRequest, 'days'>;
  readonly signer?: 'front-proxy-ca';
  readonly clientOn?: 'control plane' | 'node';
}

const DAYS = 3_650;

/** Makes them anew in `dir`. `now` is in epoch milliseconds. */
export async function makeCredentials(
  dir: string,
  { nodes, apiPort }: { readonly nodes: number; readonly apiPort: number },
  now: number,
): Promise<Credentials> {
  const files = new Map<string, string>();
  const keep = (name: string, { certificate, key }: KeyedCertificate) => {
    files.set(`${name}.crt`, certificate).set(`${name}.key`, key);
  };
  const authorities = {
    ca: await createAuthority({ commonName: 'cluster', years: 10 }, now),
    'front-proxy-ca': await createAuthority({ commonName: 'front proxy', years: 10 }, now),
  };
  for (const [name, authority] of Object.entries(authorities)) keep(name, authority);
  for (const { name, request, signer, clientOn } of [...controlPlane(), ...ofNodes(nodes)]) {
    const issued = await issueCertificate(authorities[signer ?? 'ca'], { ...request, days: DAYS }, now);
    keep(name, issued);
    if (clientOn === undefined) continue;
    const host = clientOn === 'node' ? CONTROL_PLANE_ADDRESS : '127.0.0.1';
    files.set(`${name}.kubeconfig`, kubeconfig(`https://${host}:${apiPort}`, authorities.ca.certificate, issued));
  }
  // Tokens of service accounts are signed with RSA by default; the certificates' own keys are not.
  const tokens = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  files.set('service-accounts.key', tokens.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
  files.set('service-accounts.pub', tokens.publicKey.export({ type: 'spki', format: 'pem' }).toString());
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o700);
  for (const [name, text] of files) writeFileSync(join(dir, name), text, { mode: 0o600 });
  const text = (file: string) => files.get(file) as string;
  return {
    path: file => join(dir, file),
    ofNode: number => ({
      'ca.crt': text('ca.crt'),
      'kubelet.crt': text(`${nodeName(number)}.crt`),
      'kubelet.key': text(`${nodeName(number)}.key`),
      'kubelet.kubeconfig': text(`${nodeName(number)}.kubeconfig`),
      'proxy.kubeconfig': text('proxy.kubeconfig'),
      'router.kubeconfig': text('router.kubeconfig'),
    }),
  };
}

function controlPlane(): readonly Wanted[] {
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const component = (name: string): Wanted => ({
    name,
    // The same certificate is its server's.
    request: {
      subject: { commonName: `system:kube-${name}` },
      addresses: ['127.0.0.1'],
      usages: ['client', 'server'],
    },
    clientOn: 'control plane',
  });
  const onNodes = (name: string): Wanted => ({
    name,
    request: { subject: { commonName: `system:kube-${name}` }, usages: ['client'] },
    clientOn: 'node',
  });
  return [
    {
      name: 'apiserver',
      request: {
        subject: { commonName: 'kube-apiserver' },
        dnsNames: [...names, `kubernetes.default.svc.${CLUSTER_DOMAIN}`, 'localhost'],
        addresses: [API_SERVICE_ADDRESS, CONTROL_PLANE_ADDRESS, '127.0.0.1'],
        usages: ['server'],
      },
    },
    {
      name: 'kubelet-client',
      request: {
        subject: { commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'] },
        usages: ['client'],
      },
    },
    {
      name: 'front-proxy-client',
      request: { subject: { commonName: 'front-proxy-client' }, usages: ['client'] },
      signer: 'front-proxy-ca',
    },
    {
      name: 'admin',
      request: {
        subject: { commonName: 'kubernetes-admin', organizations: ['system:masters'] },
        usages: ['client'],
      },
      clientOn: 'control plane',
    },
    component('controller-manager'),
    component('scheduler'),
    onNodes('proxy'),
    onNodes('router'),
  ];
}

function ofNodes(nodes: number): readonly Wanted[] {
  return Array.from({ length: nodes }, (_, index): Wanted => {
    const name = nodeName(index + 1);
    return {
      name,
      request: {
        subject: { commonName: `system:node:${name}`, organizations: ['system:nodes'] },
        dnsNames: [name],
        addresses: [nodeAddress(index + 1)],
        usages: ['client', 'server'],
      },
      clientOn: 'node',
    };
  });
}

/** JSON is YAML: what kubectl reads. */
function kubeconfig(server: string, authority: string, client: KeyedCertificate): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'e2e', cluster: { server, 'certificate-authority-data': base64(authority) } }],
    users: [
      {
        name: 'e2e',
        user: { 'client-certificate-data': base64(client.certificate), 'client-key-data': base64(client.key) },
      },
    ],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'e2e' } }],
    'current-context': 'e2e',
  });
}
