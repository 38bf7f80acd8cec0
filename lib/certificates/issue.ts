import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** A certificate and its private key (PKCS#8), both PEM. All keys made here are EC P-256. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** Who a certificate speaks for. Kubernetes reads a client's user from `commonName`, its groups from `organizations`. */
export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

/** What a certificate of a server or client is to say. */
export interface LeafRequest {
  readonly subject: Subject;
  /** DNS names it is valid for; a wildcard in the first label is allowed. */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses it is valid for. */
  readonly addresses?: readonly string[];
  readonly usages: readonly ('server' | 'client')[];
  readonly days: number;
}

/** What a new authority is to say. */
export interface AuthorityRequest {
  readonly commonName: string;
  /** Calendar years. */
  readonly years: number;
  /** Makes it an intermediate of that authority in place of a root. */
  readonly issuer?: KeyedCertificate;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;
/** Certificates are valid from a little before they are made: the clocks of those who check them differ. */
const BACKDATED_MS = 5 * 60_000;
const USAGES = { server: ExtendedKeyUsage.serverAuth, client: ExtendedKeyUsage.clientAuth };

/** Makes a certificate authority. `now` is in epoch milliseconds. An intermediate never outlives its issuer. */
export async function createAuthority(request: AuthorityRequest, now: number): Promise<KeyedCertificate> {
  const end = new Date(now);
  end.setUTCFullYear(end.getUTCFullYear() + request.years);
  const signer = request.issuer === undefined ? undefined : await loadSigner(request.issuer);
  const extensions = [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ];
  return sign({ subject: { commonName: request.commonName }, extensions, notAfter: end.getTime() }, signer, now);
}

/**
 * Makes a certificate signed by `authority`, to which it belongs in a chain. `now` is in epoch milliseconds; it ends
 * `days` later, or with its authority if that is sooner. Rejects when the authority's key is not EC P-256.
 */
export async function issueCertificate(
  authority: KeyedCertificate,
  request: LeafRequest,
  now: number,
): Promise<KeyedCertificate> {
  return sign(leafOf(request, now), await loadSigner(authority), now);
}

/** Makes a certificate that is its own issuer; a client that is given it as its only authority accepts it. */
export function createSelfSigned(request: LeafRequest, now: number): Promise<KeyedCertificate> {
  return sign(leafOf(request, now), undefined, now);
}

interface Unsigned {
  readonly subject: Subject;
  readonly extensions: readonly Extension[];
  readonly notAfter: number;
}

interface Signer {
  readonly certificate: X509Certificate;
  readonly key: CryptoKey;
}

function leafOf(request: LeafRequest, now: number): Unsigned {
  const names = [
    ...(request.dnsNames ?? []).map(value => ({ type: 'dns' as const, value })),
    ...(request.addresses ?? []).map(value => ({ type: 'ip' as const, value })),
  ];
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(request.usages.map(usage => USAGES[usage])),
  ];
  if (names.length > 0) extensions.push(new SubjectAlternativeNameExtension(names));
  return { subject: request.subject, extensions, notAfter: now + request.days * DAY_MS };
}

async function sign(unsigned: Unsigned, signer: Signer | undefined, now: number): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const subject = nameOf(unsigned.subject);
  const authorityKey = signer?.certificate.publicKey ?? keys.publicKey;
  const certificate = await X509CertificateGenerator.create({
    subject,
    // The authority's name as it encodes it itself: verifiers compare the bytes.
    issuer: signer?.certificate.subjectName ?? subject,
    notBefore: wholeSeconds(now - BACKDATED_MS),
    notAfter: wholeSeconds(Math.min(unsigned.notAfter, signer?.certificate.notAfter.getTime() ?? Infinity)),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: signer?.key ?? keys.privateKey,
    extensions: [
      ...unsigned.extensions,
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(authorityKey),
    ],
  });
  return {
    certificate: `${certificate.toString('pem')}\n`,
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

async function loadSigner(authority: KeyedCertificate): Promise<Signer> {
  const key = createPrivateKey(authority.key).toCryptoKey(ALGORITHM, false, ['sign']);
  return { certificate: new X509Certificate(authority.certificate), key };
}

/** The type is said, because the library reads quotes, backslashes and a leading `#` of a bare string as notation. */
function nameOf(subject: Subject): Name {
  const groups = (subject.organizations ?? []).map(utf8String => ({ O: [{ utf8String }] }));
  return new Name([...groups, { CN: [{ utf8String: subject.commonName }] }]);
}

/** What X.509 can say of a time. */
function wholeSeconds(epochMs: number): Date {
  return new Date(Math.floor(epochMs / 1_000) * 1_000);
}
