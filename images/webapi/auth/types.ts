import type { AccountView, Caller } from '../../../lib/auth/types.ts';

/** The parts of a request that authentication looks at, exactly as received. http-api.md §9. */
export interface Credentials {
  readonly method: string;
  /** Raw request target, before any decoding or slash collapsing. */
  readonly rawTarget: string;
  /** `1.1` or `1.0`, for signatures over the historic `request-line`; `1.1` when absent. */
  readonly httpVersion?: string;
  /** Lower-case names; repeated headers joined as Node does. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/**
 * Syntax only, before anything is looked up: pipeline stages 4 and 5. Throws MantaError `InvalidHeader`,
 * `RequestExpired`, `AuthorizationSchemeNotAllowed`, `InvalidAuthenticationToken`, `InvalidAlgorithm`, `InvalidKeyId`,
 * `InvalidQueryStringAuthentication`, in the order of http-api.md §9.2 and §9.4.
 */
export type ParsedCredentials =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'signature' | 'presigned';
      readonly account: string;
      /** A sub-user's login; sub-users come later and are refused with `UserDoesNotExist`. */
      readonly user?: string;
      /** `SHA256:…` or colon-hex MD5. */
      readonly fingerprint: string;
      readonly algorithm: string;
      readonly signingString: string;
      /** The same request in the other order that presigning clients use: the signature may match either text. */
      readonly otherSigningString?: string;
      readonly signature: Buffer;
    };

/** Stage 9 of the pipeline: who calls, and whose path it is. */
export interface Authenticator {
  parse(credentials: Credentials): ParsedCredentials;
  /** Throws `AccountDoesNotExist`, `UserDoesNotExist`, `AccountBlocked`, `KeyDoesNotExist`, `InvalidSignature`. */
  authenticate(parsed: ParsedCredentials): Promise<Caller>;
  /** The account in the path. Throws `AccountDoesNotExist`, `AccountBlocked`. */
  loadOwner(login: string, caller: Caller): Promise<AccountView>;
}

/** Why a request was allowed, for the request record; accounts only for now, roles and sub-users come later. */
export type Decision =
  | { readonly kind: 'allow'; readonly via: 'public' | 'owner' | 'operator' }
  | { readonly kind: 'deny'; readonly code: 'AccountBlocked' | 'AuthorizationFailed' };
