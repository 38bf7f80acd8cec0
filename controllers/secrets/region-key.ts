import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { SecretData } from './secret-data.ts';

/** The region's Ed25519 key as Secret `manta-region-key` holds it: metadata.md §14.5, operations.md §5.4. */
export interface RegionKey {
  /** Key id of the one that signs. */
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** Key ids of all public keys that are accepted, `kid` among them, in order. */
  readonly publicKids: readonly string[];
}

const CURRENT = 'current';

/** Names of the entries of one key. */
export function regionKeyEntries(kid: string): { readonly privateKey: string; readonly publicKey: string } {
  return { privateKey: `${kid}.key`, publicKey: `${kid}.pub` };
}

/** A first key where there is none; a public key that is gone is made again from its private one. */
export function missingRegionKey(found: SecretData): SecretData {
  const current = found[CURRENT];
  if (current !== undefined) {
    const entries = regionKeyEntries(current);
    const pem = found[entries.privateKey];
    if (pem !== undefined) {
      if (found[entries.publicKey] !== undefined) return {};
      return { [entries.publicKey]: publicPem(createPublicKey(createPrivateKey(pem))) };
    }
  }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const kid = createHash('sha256').update(der).digest('hex').slice(0, 16);
  const entries = regionKeyEntries(kid);
  return {
    [CURRENT]: kid,
    [entries.privateKey]: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    [entries.publicKey]: publicPem(publicKey),
  };
}

/** Undefined until the Secret is complete. Throws what Node throws for a key that is no PEM. */
export function readRegionKey(data: SecretData): RegionKey | undefined {
  const kid = data[CURRENT];
  const pem = kid === undefined ? undefined : data[regionKeyEntries(kid).privateKey];
  if (kid === undefined || pem === undefined) return undefined;
  const publicKids = Object.keys(data)
    .filter(name => name.endsWith('.pub'))
    .map(name => name.slice(0, -'.pub'.length))
    .sort();
  return publicKids.includes(kid) ? { kid, privateKey: createPrivateKey(pem), publicKids } : undefined;
}

function publicPem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
