import { verify } from 'node:crypto';
import type { KeyView } from './types.ts';

interface SignatureAlgorithm {
  readonly keyType: KeyView['algorithm'];
  /** Digest over the signing string; null for Ed25519, which hashes by itself. */
  readonly digest: 'sha1' | 'sha256' | 'sha384' | 'sha512' | null;
}

/** The table of http-api.md §9.2, by lower-case name. */
const SUPPORTED: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['rsa-sha1', { keyType: 'rsa', digest: 'sha1' }],
  ['rsa-sha256', { keyType: 'rsa', digest: 'sha256' }],
  ['rsa-sha384', { keyType: 'rsa', digest: 'sha384' }],
  ['rsa-sha512', { keyType: 'rsa', digest: 'sha512' }],
  ['ecdsa-sha256', { keyType: 'ecdsa', digest: 'sha256' }],
  ['ecdsa-sha384', { keyType: 'ecdsa', digest: 'sha384' }],
  ['ecdsa-sha512', { keyType: 'ecdsa', digest: 'sha512' }],
  ['ed25519-sha512', { keyType: 'ed25519', digest: null }],
]);

const DISABLED: ReadonlySet<string> = new Set(['dsa-sha1', 'dsa-sha256']);

/** Names as error messages print them. */
export const SUPPORTED_ALGORITHMS: readonly string[] = [...SUPPORTED.keys()].map(name => name.toUpperCase());

/** Whether the server verifies this algorithm, knows it but never verifies it (DSA), or has never heard of it. */
export function statusOfAlgorithm(name: string): 'supported' | 'disabled' | 'unknown' {
  const lower = name.toLowerCase();
  if (SUPPORTED.has(lower)) return 'supported';
  return DISABLED.has(lower) ? 'disabled' : 'unknown';
}

/**
 * True when `signature` was made over `signingString` by the holder of `key` with the algorithm named. False, never an
 * exception, for an algorithm that does not suit the key's type and for bytes that are no signature. ECDSA signatures
 * are DER. auth.md §13.7.
 */
export function verifySignature(key: KeyView, algorithm: string, signingString: string, signature: Buffer): boolean {
  const chosen = SUPPORTED.get(algorithm.toLowerCase());
  if (chosen === undefined || chosen.keyType !== key.algorithm) return false;
  try {
    return verify(chosen.digest, Buffer.from(signingString, 'utf8'), key.key, signature);
  } catch {
    // OpenSSL throws where a signature is malformed instead of wrong: to the client both are the same answer.
    return false;
  }
}
