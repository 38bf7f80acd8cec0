import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import sshpk from 'sshpk';
import { newUuid } from '../metadata/path.ts';
import { keyViewOf, parsePublicKey } from './public-key.ts';
import type { Accounts, AccountView, KeyView } from './types.ts';

/** The kinds of key that users bring. */
export type KeyKind = 'rsa' | 'p256' | 'p384' | 'p521' | 'ed25519';

/** A freshly made pair, in the forms that clients and the server want. */
export interface TestKeyPair {
  readonly privateKey: KeyObject;
  /** PKCS#8 PEM. */
  readonly privatePem: string;
  /** One line, with a comment. */
  readonly openSsh: string;
  readonly view: KeyView;
}

/** A new key pair; RSA has 2,048 bits. */
export function aKeyPair(kind: KeyKind, name = 'test'): TestKeyPair {
  const privateKey = createPrivateKey({ key: generate(kind), format: 'pem' });
  const privatePem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const openSsh = `${sshpk.parsePrivateKey(privatePem, 'pem').toPublic().toString('ssh')} ${name}`;
  return { privateKey, privatePem, openSsh, view: keyViewOf(name, parsePublicKey(openSsh)) };
}

function generate(kind: KeyKind): string {
  const privateKeyEncoding = { format: 'pem', type: 'pkcs8' } as const;
  const publicKeyEncoding = { format: 'pem', type: 'spki' } as const;
  const encodings = { privateKeyEncoding, publicKeyEncoding };
  switch (kind) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048, ...encodings }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519', encodings).privateKey;
    default:
      return generateKeyPairSync('ec', { namedCurve: kind.replace('p', 'P-'), ...encodings }).privateKey;
  }
}

/** An approved account without keys, changed as asked. */
export function anAccount(
  changes: Partial<Omit<AccountView, 'keys'>> & { keys?: readonly KeyView[] } = {},
): AccountView {
  const { keys = [], operator = false, ...rest } = changes;
  return {
    uuid: newUuid(),
    login: 'alice',
    approved: true,
    operator,
    groups: operator ? ['operators'] : [],
    snaplinksDisabled: false,
    ...rest,
    keys: new Map(keys.flatMap(key => [key.md5Fingerprint, key.sha256Fingerprint].map(print => [print, key] as const))),
  };
}

/** Accounts that are always there: for tests of what stands on top of them. */
export function accountsOf(...views: readonly AccountView[]): Accounts {
  return {
    byLogin: async login => views.find(view => view.login === login),
    byUuid: async uuid => views.find(view => view.uuid === uuid),
    isAvailable: () => true,
    close: async () => {},
  };
}
