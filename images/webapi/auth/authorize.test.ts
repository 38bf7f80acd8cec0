import fc from 'fast-check';
import { anAccount } from '../../../lib/auth/testing.ts';
import type { AccountView, Caller } from '../../../lib/auth/types.ts';
import { type Action, authorize, requireAuthorized } from './authorize.ts';
import type { Decision } from './types.ts';

const owner = anAccount({ login: 'owner' });
const stranger = anAccount({ login: 'stranger' });
const operator = anAccount({ login: 'operator', operator: true });
const blockedOwner = anAccount({ login: 'blocked', approved: false });
const blockedOperator = anAccount({ login: 'sleeper', approved: false, operator: true });

const nobody: Caller = { kind: 'anonymous' };
const by = (account: AccountView): Caller => ({ kind: 'account', account });

const allow = (via: 'public' | 'owner' | 'operator'): Decision => ({ kind: 'allow', via });
const failed: Decision = { kind: 'deny', code: 'AuthorizationFailed' };
const stopped: Decision = { kind: 'deny', code: 'AccountBlocked' };

describe('authorize', () => {
  const rows: ReadonlyArray<readonly [string, Caller, AccountView, Action, boolean, Decision]> = [
    ['the owner everything', by(owner), owner, 'deleteobject', false, allow('owner')],
    ['an operator everything', by(operator), owner, 'putobject', false, allow('operator')],
    ['a blocked operator everything', by(blockedOperator), owner, 'putobject', false, allow('operator')],
    ['an operator a blocked account', by(operator), blockedOwner, 'getobject', false, allow('operator')],
    ['anybody to read public objects', nobody, owner, 'getobject', true, allow('public')],
    ['anybody to list public directories', nobody, owner, 'getdirectory', true, allow('public')],
    ['anybody a preflight under public', nobody, owner, 'optionspublicstorage', true, allow('public')],
    ['a stranger to read public objects', by(stranger), owner, 'getobject', true, allow('public')],
    ['public reads of a blocked operator', nobody, blockedOperator, 'getobject', true, allow('public')],
    ['a stranger nothing private', by(stranger), owner, 'getobject', false, failed],
    ['a stranger no writes under public', by(stranger), owner, 'putobject', true, failed],
    ['nobody nothing private', nobody, owner, 'getdirectory', false, failed],
    ['nobody no writes under public', nobody, owner, 'putobject', true, failed],
    ['nobody no deletes under public', nobody, owner, 'deleteobject', true, failed],
    ['nobody the public objects of a blocked account', nobody, blockedOwner, 'getobject', true, stopped],
    ['a stranger the public objects of a blocked account', by(stranger), blockedOwner, 'getobject', true, stopped],
    ['a blocked account nothing of its own', by(blockedOwner), blockedOwner, 'getobject', false, stopped],
    ['a blocked account no public reads elsewhere', by(blockedOwner), owner, 'getobject', true, stopped],
  ];
  it.each(rows)('allows %s', (_title, caller, account, action, isPublic, expected) => {
    expect(authorize({ caller, owner: account, action, isPublic })).toEqual(expected);
  });

  it('lets no stranger change anything, whatever the accounts', () => {
    const writes: readonly Action[] = ['putobject', 'putdirectory', 'putlink', 'deleteobject', 'deletedirectory'];
    const flags = fc.record({ approved: fc.boolean(), operator: fc.boolean() });
    fc.assert(
      fc.property(
        flags,
        fc.boolean(),
        fc.constantFrom(...writes),
        fc.boolean(),
        (account, approved, action, isPublic) => {
          const request = { caller: by(anAccount({ approved })), owner: anAccount(account), action, isPublic };
          expect(authorize(request).kind).toBe('deny');
        },
      ),
    );
  });
});

describe('requireAuthorized', () => {
  const request = { owner, action: 'putobject', isPublic: true } as const;

  it('returns why the request may go on', () => {
    expect(requireAuthorized({ ...request, caller: by(owner) }, '/owner/public/x')).toEqual(allow('owner'));
  });

  it.each([
    [nobody, owner, 'AuthorizationFailed', 'anonymous is not allowed to access /owner/public/x'],
    [by(stranger), owner, 'AuthorizationFailed', 'stranger is not allowed to access /owner/public/x'],
    [by(stranger), blockedOwner, 'AccountBlocked', 'blocked is not an active account'],
  ])('names who is refused what', (caller, account, code, message) => {
    expect(() => requireAuthorized({ ...request, caller, owner: account }, '/owner/public/x')).toThrow(
      expect.objectContaining({ code, message }),
    );
  });
});
