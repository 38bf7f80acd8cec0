import type { AccountView, Caller } from '../../../lib/auth/types.ts';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import type { Decision } from './types.ts';

/**
 * What a request wants to do: the names that policies use. A route without one does not compile. auth.md §7.2; the
 * names of jobs and multipart uploads come with those.
 */
export type Action =
  | 'getobject'
  | 'getdirectory'
  | 'putobject'
  | 'putdirectory'
  | 'putlink'
  | 'deleteobject'
  | 'deletedirectory'
  | 'postrootdir'
  | 'createtoken'
  | 'optionsstorage'
  | 'optionspublicstorage'
  | 'optionsreportstorage'
  | 'optionsjobstorage';

/** All that a decision depends on. */
export interface AuthorizeRequest {
  readonly caller: Caller;
  /** The account in the path: all below it is its. */
  readonly owner: AccountView;
  readonly action: Action;
  /** True when the path is the owner's `/public` or below it. */
  readonly isPublic: boolean;
}

const PUBLIC_READS: ReadonlySet<Action> = new Set(['getobject', 'getdirectory', 'optionspublicstorage']);

/**
 * Whether a request may go on, and why. Pure; never throws. The gate of auth.md §11 comes first and closes `/public`
 * too; then public reads (§8.1), the owner, operators (§8.2). Everybody else is refused.
 */
export function authorize(request: AuthorizeRequest): Decision {
  const { caller, owner, action, isPublic } = request;
  if (blockedLogin(caller, owner) !== undefined) return { kind: 'deny', code: 'AccountBlocked' };
  if (isPublic && PUBLIC_READS.has(action)) return { kind: 'allow', via: 'public' };
  if (caller.kind === 'account') {
    if (caller.account.uuid === owner.uuid) return { kind: 'allow', via: 'owner' };
    if (caller.account.operator) return { kind: 'allow', via: 'operator' };
  }
  return { kind: 'deny', code: 'AuthorizationFailed' };
}

/**
 * As `authorize`, for handlers: returns the permission, or throws MantaError `AccountBlocked` or `AuthorizationFailed`
 * with the message clients know. `path` is the path as the client sent it.
 */
export function requireAuthorized(request: AuthorizeRequest, path: string): Extract<Decision, { kind: 'allow' }> {
  const decision = authorize(request);
  if (decision.kind === 'allow') return decision;
  switch (decision.code) {
    case 'AccountBlocked': {
      const login = blockedLogin(request.caller, request.owner) ?? request.owner.login;
      throw new MantaError('AccountBlocked', `${login} is not an active account`);
    }
    case 'AuthorizationFailed': {
      const login = request.caller.kind === 'account' ? request.caller.account.login : 'anonymous';
      throw new MantaError('AuthorizationFailed', `${login} is not allowed to access ${path}`);
    }
  }
}

/**
 * The gate of auth.md §11: the login of the account that stops this request, the caller's before the owner's, or
 * undefined when nothing does. An unapproved account is stopped unless it is an operator; an unapproved owner's data
 * stays open to operators.
 */
export function blockedLogin(caller: Caller, owner?: AccountView): string | undefined {
  const account = caller.kind === 'account' ? caller.account : undefined;
  if (account !== undefined && !account.approved && !account.operator) return account.login;
  if (owner === undefined || owner.approved || owner.operator || account?.operator === true) return undefined;
  return owner.login;
}
