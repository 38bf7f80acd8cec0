import { z } from 'zod';
import { NODE_TOKEN_LIFETIME_S, signNodeToken, type TokenSigner } from '../../lib/region-token/region-token.ts';
import type { SecretData } from './secret-data.ts';

/** A storage node that needs a token: its resource's name is the entry of Secret `manta-node-tokens`. */
export interface TokenHolder {
  readonly name: string;
  readonly storageId: string;
}

const headerSchema = z.object({ kid: z.string() });
const claimsSchema = z.object({ sub: z.string(), exp: z.number() });

/**
 * Tokens for storage nodes that have none, or one of which half the time is spent, or of a key that no longer signs. A
 * running node gets its next one in replies to heartbeats; these are for those that start. metadata.md §14.5.
 */
export function missingNodeTokens(
  found: SecretData,
  holders: readonly TokenHolder[],
  signer: TokenSigner,
  { kid, nowMs }: { readonly kid: string; readonly nowMs: number },
): SecretData {
  const due = holders.filter(({ name, storageId }) => !isFresh(found[name], storageId, kid, nowMs));
  return Object.fromEntries(due.map(({ name, storageId }) => [name, signNodeToken(signer, storageId)]));
}

function isFresh(token: string | undefined, storageId: string, kid: string, nowMs: number): boolean {
  const [head, body] = (token ?? '').split('.');
  const header = headerSchema.safeParse(decode(head));
  const claims = claimsSchema.safeParse(decode(body));
  if (!header.success || !claims.success) return false;
  const restS = claims.data.exp - nowMs / 1000;
  return header.data.kid === kid && claims.data.sub === `storage/${storageId}` && restS > NODE_TOKEN_LIFETIME_S / 2;
}

function decode(part: string | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
