import 'reflect-metadata';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { SubjectAlternativeNameExtension, X509Certificate as X509Fields } from '@peculiar/x509';
import { MantaError } from '../errors/manta-error.ts';

/** What one certificate says. Times are epoch milliseconds. */
export interface CertificateFacts {
  readonly commonName: string | undefined;
  /** The DNS names and IP addresses that it is valid for, in its own order; without any, its common name. */
  readonly subjects: readonly string[];
  /** Upper-case hexadecimal, as `openssl x509 -serial` prints it. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isAuthority: boolean;
}

/** Why a chain is not fit to be served. */
export type ChainFault = 'Unreadable' | 'KeyUnreadable' | 'KeyMismatch' | 'ChainOrder' | 'Expired' | 'NotYetValid';

/** `chain` has the leaf first. `message` is for people and contains nothing secret. */
export type ChainVerdict =
  | { readonly kind: 'good'; readonly chain: readonly [CertificateFacts, ...CertificateFacts[]] }
  | { readonly kind: 'bad'; readonly fault: ChainFault; readonly message: string };

/**
 * Reads every certificate of a PEM text, in its order; text between them is ignored, as TLS servers do. Throws MantaError
 * `CertificateUnreadable` when there is none or one of them cannot be parsed.
 */
export function readCertificates(pem: string): readonly [CertificateFacts, ...CertificateFacts[]] {
  const [leaf, ...others] = parse(pem);
  return [leaf.facts, ...others.map(({ facts }) => facts)];
}

/**
 * Whether a server can serve this chain with this key at `now`: all of it parses, the key belongs to the first certificate,
 * each of the others has issued the one before it, the first is in force (operations.md 4.8). Whether anyone trusts the
 * last one is not asked; nor are the others' dates: chains end in expired cross-signatures on purpose.
 */
export function inspectChain(pem: { readonly certificate: string; readonly key: string }, now: number): ChainVerdict {
  let chain: ReturnType<typeof parse>;
  try {
    chain = parse(pem.certificate);
  } catch (error) {
    return bad('Unreadable', error instanceof Error ? error.message : String(error));
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem.key);
  } catch {
    // OpenSSL's own words name routines; never repeat what the text contains.
    return bad('KeyUnreadable', 'the private key is not PEM, or is encrypted');
  }
  const [leaf] = chain;
  if (!leaf.parsed.checkPrivateKey(key)) return bad('KeyMismatch', 'the private key belongs to another certificate');
  const stray = chain.findIndex(({ parsed }, index) => {
    const issuer = chain[index + 1]?.parsed;
    return issuer !== undefined && !(parsed.checkIssued(issuer) && parsed.verify(issuer.publicKey));
  });
  if (stray >= 0)
    return bad('ChainOrder', `certificate ${stray + 2} of the chain has not issued certificate ${stray + 1}`);
  const { notBefore, notAfter } = leaf.facts;
  if (now > notAfter) return bad('Expired', `the certificate expired at ${new Date(notAfter).toISOString()}`);
  if (now < notBefore) return bad('NotYetValid', `the certificate is valid from ${new Date(notBefore).toISOString()}`);
  return { kind: 'good', chain: [leaf.facts, ...chain.slice(1).map(({ facts }) => facts)] };
}

/** Whether `certificate` (PEM, the first in it) is signed by `authority`: how its maker knows that it is still its own. */
export function isIssuedBy(certificate: string, authority: string): boolean {
  const [{ parsed }] = parse(certificate);
  const [{ parsed: issuer }] = parse(authority);
  return parsed.checkIssued(issuer) && parsed.verify(issuer.publicKey);
}

interface Parsed {
  readonly parsed: X509Certificate;
  readonly facts: CertificateFacts;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function parse(pem: string): [Parsed, ...Parsed[]] {
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length !== pem.split('-----BEGIN CERTIFICATE-----').length - 1)
    throw new MantaError('CertificateUnreadable', 'the text ends within a certificate');
  const all = blocks.map((block, index) => {
    try {
      const parsed = new X509Certificate(block);
      return { parsed, facts: factsOf(parsed, block) };
    } catch (cause) {
      throw new MantaError('CertificateUnreadable', `certificate ${index + 1} of the chain cannot be parsed`, {
        cause,
      });
    }
  });
  const [leaf, ...others] = all;
  if (leaf === undefined) throw new MantaError('CertificateUnreadable', 'there is no PEM certificate in the text');
  return [leaf, ...others];
}

function factsOf(parsed: X509Certificate, block: string): CertificateFacts {
  const fields = new X509Fields(block);
  const [commonName] = fields.subjectName.getField('CN');
  const names = fields.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
  const subjects = names.filter(({ type }) => type === 'dns' || type === 'ip').map(({ value }) => value);
  return {
    commonName,
    subjects: subjects.length > 0 || commonName === undefined ? subjects : [commonName],
    serial: parsed.serialNumber,
    notBefore: fields.notBefore.getTime(),
    notAfter: fields.notAfter.getTime(),
    isAuthority: parsed.ca,
  };
}

function bad(fault: ChainFault, message: string): ChainVerdict {
  return { kind: 'bad', fault, message };
}
