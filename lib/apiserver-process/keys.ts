import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../certificates/issue.ts';

/** Somebody for RBAC to judge. */
export interface KubernetesUser {
  readonly name: string;
  readonly groups?: readonly string[];
}

/** The keys of one API server. */
export interface ServerKeys {
  readonly authority: KeyedCertificate;
  /** Makes the certificate by which a client is `user`. */
  issueUser(user: KubernetesUser): Promise<KeyedCertificate>;
  /** The flags that tell the server of them. */
  readonly flags: readonly string[];
}

const DAYS = 30;

/** Makes the keys of a server on the loopback interface and puts what it reads into `dir`. */
export async function makeServerKeys(dir: string, now: number): Promise<ServerKeys> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const write = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const authority = await createAuthority({ commonName: 'manta test authority', years: 1 }, now);
  const server = await issueCertificate(
    authority,
    {
      subject: { commonName: 'kube-apiserver' },
      dnsNames: ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'],
      addresses: ['127.0.0.1', '::1'],
      usages: ['server'],
      days: DAYS,
    },
    now,
  );
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return {
    authority,
    issueUser: ({ name, groups = [] }) =>
      issueCertificate(
        authority,
        { subject: { commonName: name, organizations: groups }, usages: ['client'], days: DAYS },
        now,
      ),
    flags: [
      ...['--client-ca-file', write('authority.crt', authority.certificate)],
      ...['--tls-cert-file', write('server.crt', server.certificate)],
      ...['--tls-private-key-file', write('server.key', server.key)],
      ...['--service-account-signing-key-file', write('service-accounts.key', privateKey)],
      ...['--service-account-key-file', write('service-accounts.pub', publicKey)],
      ...['--service-account-issuer', 'https://kubernetes.default.svc.cluster.local'],
    ],
  };
}
