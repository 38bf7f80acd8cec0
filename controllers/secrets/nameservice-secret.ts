import { generateKeyPairSync } from 'node:crypto';
import { isIssuedBy, readCertificates } from '../../lib/certificates/inspect.ts';
import { createAuthority, issueCertificate, type KeyedCertificate } from '../../lib/certificates/issue.ts';
import { missingPasswords, type SecretData } from './secret-data.ts';

/** Names of the entries of Secret `manta-nameservice`. */
export const NAMESERVICE_ENTRIES = {
  caCertificate: 'ca.crt',
  caKey: 'ca.key',
  certificate: 'tls.crt',
  key: 'tls.key',
  tokenKey: 'jwt.key',
  tokenPublicKey: 'jwt.pub',
  passwordOf: (user: string) => `password-${user}`,
} as const;

const AUTHORITY_YEARS = 10;
const LEAF_DAYS = 365;
const RENEW_BEFORE_MS = 60 * 86_400_000;

/**
 * What Secret `manta-nameservice` lacks (operations.md §4.2): an authority, one certificate for all members that names all
 * of them, the key of etcd's tokens, and passwords. Of what is there only the certificate is ever replaced: 60 days before
 * it ends, and when it lacks a name or is another authority's.
 */
export async function missingNameservice(
  found: SecretData,
  wanted: { readonly dnsNames: readonly string[]; readonly users: readonly string[] },
  nowMs: number,
): Promise<SecretData> {
  const names = NAMESERVICE_ENTRIES;
  const authority = keyedOf(found, names.caCertificate, names.caKey);
  const signer =
    authority ?? (await createAuthority({ commonName: 'manta nameservice', years: AUTHORITY_YEARS }, nowMs));
  const leaf = keyedOf(found, names.certificate, names.key);
  const isGood = leaf !== undefined && isLeafGood(leaf, signer, wanted.dnsNames, nowMs);
  return {
    ...(authority === undefined ? { [names.caCertificate]: signer.certificate, [names.caKey]: signer.key } : {}),
    ...(isGood ? {} : await newLeaf(signer, wanted.dnsNames, nowMs)),
    ...(found[names.tokenKey] && found[names.tokenPublicKey] ? {} : newTokenKey()),
    ...missingPasswords(found, wanted.users.map(names.passwordOf)),
  };
}

function keyedOf(found: SecretData, certificateName: string, keyName: string): KeyedCertificate | undefined {
  const [certificate, key] = [found[certificateName], found[keyName]];
  return certificate && key ? { certificate, key } : undefined;
}

function isLeafGood(
  leaf: KeyedCertificate,
  authority: KeyedCertificate,
  dnsNames: readonly string[],
  nowMs: number,
): boolean {
  try {
    const [{ notAfter, subjects }] = readCertificates(leaf.certificate);
    const isNamed = dnsNames.every(name => subjects.includes(name));
    return isNamed && notAfter - nowMs > RENEW_BEFORE_MS && isIssuedBy(leaf.certificate, authority.certificate);
  } catch {
    return false;
  }
}

async function newLeaf(authority: KeyedCertificate, dnsNames: readonly string[], nowMs: number): Promise<SecretData> {
  const { certificate, key } = await issueCertificate(
    authority,
    {
      subject: { commonName: 'nameservice' },
      dnsNames,
      addresses: ['127.0.0.1'],
      // Members are clients of each other on the peer port.
      usages: ['server', 'client'],
      days: LEAF_DAYS,
    },
    nowMs,
  );
  return { [NAMESERVICE_ENTRIES.certificate]: certificate, [NAMESERVICE_ENTRIES.key]: key };
}

function newTokenKey(): SecretData {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return { [NAMESERVICE_ENTRIES.tokenKey]: privateKey, [NAMESERVICE_ENTRIES.tokenPublicKey]: publicKey };
}
