import { generateKeyPairSync } from 'node:crypto';
import sshpk from 'sshpk';
import type { SecretData } from './secret-data.ts';

/** Login of the system account, operations.md §0.1. */
export const POSEIDON = 'poseidon';

/** Names of the entries of Secret `manta-poseidon`. */
export const POSEIDON_ENTRIES = {
  /** PEM of an RSA key, the kind that every client of Manta can sign with. */
  privateKey: 'id_rsa',
  /** One line, as in OpenSSH's files. */
  publicKey: 'id_rsa.pub',
  /** Colon-hex MD5 fingerprint, which clients call the key id. */
  keyId: 'key-id',
} as const;

/** The key pair of the system account where there is none; what follows from the private key is made again. */
export function missingPoseidon(found: SecretData): SecretData {
  const names = POSEIDON_ENTRIES;
  const pem =
    found[names.privateKey] ??
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const key = sshpk.parsePrivateKey(pem, 'pem').toPublic();
  key.comment = POSEIDON;
  const whole: SecretData = {
    [names.privateKey]: pem,
    [names.publicKey]: `${key.toString('ssh')}\n`,
    [names.keyId]: key.fingerprint('md5').toString('hex'),
  };
  return Object.fromEntries(Object.entries(whole).filter(([name]) => !found[name]));
}
