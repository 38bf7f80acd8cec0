import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import {
  createTokenSigner,
  createTokenVerifier,
  type TokenSigner,
  type TokenVerifier,
} from '../../lib/region-token/region-token.ts';

/** Tokens between the programs of one region, from its one key. metadata.md §14.5. */
export interface RegionTokens {
  /** `subject`: `<program>/<instance>`. */
  signerFor(subject: string): TokenSigner;
  verifierFor(audience: string): TokenVerifier;
}

export function createRegionTokens(region: string, privateKey: KeyObject, clock: Clock): RegionTokens {
  const publicKey = createPublicKey(privateKey);
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const kid = createHash('sha256').update(der).digest('base64url').slice(0, 16);
  return {
    signerFor: subject => createTokenSigner({ region, subject, kid, privateKey, clock }),
    verifierFor: audience => createTokenVerifier({ region, audience, publicKeys: new Map([[kid, publicKey]]), clock }),
  };
}
