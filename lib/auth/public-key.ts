import { createPublicKey } from 'node:crypto';
import sshpk from 'sshpk';
import { MantaError } from '../errors/manta-error.ts';
import type { KeyView } from './types.ts';

/** A public key as it is stored: everything requests are verified with, computed once. */
export interface ParsedKey {
  readonly algorithm: KeyView['algorithm'];
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** Colon-hex MD5 fingerprint, without the `MD5:` prefix. */
  readonly md5Fingerprint: string;
  /** `SHA256:…` as OpenSSH prints it. */
  readonly sha256Fingerprint: string;
}

/** Longest key text looked at; an RSA key of 16,384 bits takes about 2.8 KiB. */
const MAX_TEXT_BYTES = 16_384;
/** Below, a key is too weak; above, one verification would take milliseconds of the event loop. */
const RSA_BITS = { min: 2048, max: 16_384 } as const;

/**
 * Reads one public key in OpenSSH (`ssh-rsa AAAA… comment`) or PEM form. Accepted: RSA of 2,048 to 16,384 bits, ECDSA
 * on P-256, P-384 and P-521, Ed25519. Throws MantaError `InvalidParameter` for everything else: DSA, weak RSA, private
 * keys, certificates, text that is no key. The message never repeats the text. auth.md §13.7.
 */
export function parsePublicKey(text: string): ParsedKey {
  const trimmed = text.trim();
  if (Buffer.byteLength(trimmed) > MAX_TEXT_BYTES) throw refused(`it is longer than ${MAX_TEXT_BYTES} bytes`);
  if (trimmed.includes('PRIVATE KEY')) throw refused('it is a private key; send the public half');
  const key = read(trimmed);
  const algorithm = algorithmOf(key);
  const spki = exportSpki(key);
  return {
    algorithm,
    spki,
    md5Fingerprint: key.fingerprint('md5').toString('hex'),
    sha256Fingerprint: key.fingerprint('sha256').toString('base64'),
  };
}

/** The stored key under its name, ready to verify with. */
export function keyViewOf(name: string, stored: ParsedKey): KeyView {
  return Object.freeze({
    name,
    algorithm: stored.algorithm,
    md5Fingerprint: stored.md5Fingerprint,
    sha256Fingerprint: stored.sha256Fingerprint,
    key: createPublicKey({ key: stored.spki, format: 'der', type: 'spki' }),
  });
}

function read(text: string): sshpk.Key {
  try {
    return sshpk.parseKey(text, text.startsWith('-----BEGIN') ? 'pem' : 'ssh');
  } catch (cause) {
    throw refused('it is not a public key in OpenSSH or PEM form', cause);
  }
}

function algorithmOf(key: sshpk.Key): KeyView['algorithm'] {
  switch (key.type) {
    case 'rsa':
      if (key.size < RSA_BITS.min)
        throw refused(`RSA keys need at least ${RSA_BITS.min} bits, this one has ${key.size}`);
      if (key.size > RSA_BITS.max) throw refused(`RSA keys may have ${RSA_BITS.max} bits, this one has ${key.size}`);
      return 'rsa';
    case 'ecdsa':
    case 'ed25519':
      return key.type;
    default:
      throw refused(`keys of type ${key.type} are not supported`);
  }
}

/** Through OpenSSL once, so that a point off its curve is refused now and not on a user's first request. */
function exportSpki(key: sshpk.Key): Buffer {
  try {
    return createPublicKey(key.toString('pkcs8')).export({ format: 'der', type: 'spki' });
  } catch (cause) {
    throw refused('its numbers make no valid key', cause);
  }
}

function refused(why: string, cause?: unknown): MantaError {
  return new MantaError('InvalidParameter', `the public key is refused: ${why}`, { cause });
}
