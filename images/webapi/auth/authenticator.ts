import { parseSignatureHeader, type RequestSignature } from '../../../lib/auth/http-signature.ts';
import { isPresigned, parsePresignedUrl } from '../../../lib/auth/presigned-url.ts';
import { verifySignature } from '../../../lib/auth/signature-algorithm.ts';
import type { Accounts, AccountView, Caller } from '../../../lib/auth/types.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Clock } from '../../../lib/lifecycle/clock.ts';
import { blockedLogin } from './authorize.ts';
import type { Authenticator, Credentials, ParsedCredentials } from './types.ts';

/** Limits of what counts as a proof. */
export interface AuthenticatorConfig {
  /** How far a signed date may be from now, in either direction, milliseconds. The wire contract says 300,000. */
  readonly dateWindowMs: number;
}

/** What clients were promised; other values are for tests. http-api.md §9.2. */
export const AUTHENTICATOR_DEFAULTS: AuthenticatorConfig = { dateWindowMs: 300_000 };

/**
 * Decides who makes a request (http-api.md §9): `parse` reads the credentials without looking anything up,
 * `authenticate` proves them against the account's keys, `loadOwner` finds the account in the path. Errors and their
 * order are those of http-api.md §9.2 and §9.4; MantaError `ServiceUnavailable` passes through from `accounts`.
 */
export function createAuthenticator(
  deps: { readonly accounts: Accounts; readonly clock: Clock },
  config: AuthenticatorConfig = AUTHENTICATOR_DEFAULTS,
): Authenticator {
  return {
    parse: credentials => parseCredentials(credentials, { nowMs: deps.clock.now(), windowMs: config.dateWindowMs }),
    authenticate: parsed => authenticate(parsed, deps.accounts),
    loadOwner: async (login, caller) => {
      const owner = await accountOf(login, deps.accounts);
      const blocked = blockedLogin(caller, owner);
      if (blocked !== undefined) throw accountBlocked(blocked);
      return owner;
    },
  };
}

function parseCredentials(
  credentials: Credentials,
  clock: { readonly nowMs: number; readonly windowMs: number },
): ParsedCredentials {
  const authorization = textOf(credentials.headers.authorization);
  const target = originFormOf(credentials.rawTarget);
  if (authorization === '') {
    if (!isPresigned(target)) return { kind: 'anonymous' };
    const request = { method: credentials.method, target, host: textOf(credentials.headers.host) };
    return credentialsOf('presigned', parsePresignedUrl(request, clock.nowMs));
  }
  const space = authorization.indexOf(' ');
  if (space === -1) throw new MantaError('InvalidHeader', 'Invalid Authorization header: it names no credentials');
  const scheme = authorization.slice(0, space).toLowerCase();
  if (scheme === 'token') {
    // No tokens are issued, so whatever was sent is not one.
    throw new MantaError('InvalidAuthenticationToken', 'the authentication token you provided is malformed');
  }
  if (scheme !== 'signature') {
    throw new MantaError('AuthorizationSchemeNotAllowed', `${scheme} is not allowed (use 'signature')`);
  }
  const { method, headers, httpVersion = '1.1' } = credentials;
  const request = { method, target, httpVersion, headers };
  return credentialsOf('signature', parseSignatureHeader(authorization.slice(space + 1), request, clock));
}

function credentialsOf(kind: 'signature' | 'presigned', claim: RequestSignature): ParsedCredentials {
  const [signingString, otherSigningString] = claim.signingStrings;
  return {
    kind,
    ...claim.keyId,
    algorithm: claim.algorithm,
    signature: claim.signature,
    signingString,
    ...(otherSigningString === undefined ? {} : { otherSigningString }),
  };
}

async function authenticate(parsed: ParsedCredentials, accounts: Accounts): Promise<Caller> {
  if (parsed.kind === 'anonymous') return parsed;
  const account = await accountOf(parsed.account, accounts);
  if (parsed.user !== undefined) {
    throw new MantaError('UserDoesNotExist', `${parsed.account}/${parsed.user} does not exist`);
  }
  const caller: Caller = { kind: 'account', account };
  const blocked = blockedLogin(caller);
  if (blocked !== undefined) throw accountBlocked(blocked);
  const key = account.keys.get(parsed.fingerprint);
  if (key === undefined) {
    throw new MantaError('KeyDoesNotExist', `/${account.login}/keys/${parsed.fingerprint} does not exist`);
  }
  const texts = [parsed.signingString, parsed.otherSigningString];
  const matches = texts.some(
    text => text !== undefined && verifySignature(key, parsed.algorithm, text, parsed.signature),
  );
  if (!matches) {
    throw new MantaError('InvalidSignature', 'The signature we calculated does not match the one you sent');
  }
  return caller;
}

async function accountOf(login: string, accounts: Accounts): Promise<AccountView> {
  const account = await accounts.byLogin(login);
  if (account === undefined) throw new MantaError('AccountDoesNotExist', `${login} does not exist`);
  return account;
}

function accountBlocked(login: string): MantaError {
  return new MantaError('AccountBlocked', `${login} is not an active account`);
}

/** Drops scheme and authority of an absolute-form target (http-api.md §1.2); nothing else is changed. */
function originFormOf(rawTarget: string): string {
  return rawTarget.startsWith('/') ? rawTarget : rawTarget.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '');
}

function textOf(header: string | readonly string[] | undefined): string {
  if (header === undefined) return '';
  return typeof header === 'string' ? header : header.join(', ');
}
