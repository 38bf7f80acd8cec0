import { MantaError } from '../errors/manta-error.ts';

/** Whose key a signature names. http-api.md §9.2. */
export interface KeyId {
  readonly account: string;
  /** A sub-user's login. */
  readonly user?: string;
  /** `SHA256:…` or colon-hex MD5, as the client sent it. */
  readonly fingerprint: string;
}

/** A SHA-256 fingerprint is base64 and may hold slashes of its own, which some clients leave unescaped. */
const SHAPE = /^\/([^/]+)(?:\/([^/]+))?\/keys\/(SHA256:.+|[^/]+)$/;

/**
 * Reads `/<account>/keys/<fingerprint>` or `/<account>/<user>/keys/<fingerprint>`, each piece percent-encoded. Throws
 * MantaError `InvalidKeyId` for any other shape. http-api.md §9.2.
 */
export function parseKeyId(text: string): KeyId {
  const [, account, user, fingerprint] = SHAPE.exec(text) ?? [];
  if (account === undefined || fingerprint === undefined) throw invalidKeyId();
  return {
    account: decode(account),
    ...(user === undefined ? {} : { user: decode(user) }),
    fingerprint: decode(fingerprint),
  };
}

function decode(piece: string): string {
  try {
    return decodeURIComponent(piece);
  } catch (cause) {
    throw invalidKeyId(cause);
  }
}

function invalidKeyId(cause?: unknown): MantaError {
  return new MantaError('InvalidKeyId', 'the KeyId token you provided is invalid', { cause });
}
