import type { KeyObject } from 'node:crypto';
import type { Uuid } from '../metadata/types.ts';

/** A public key as requests are verified against it. auth.md §13.7. */
export interface KeyView {
  /** Colon-hex MD5 fingerprint, without the `MD5:` prefix. */
  readonly md5Fingerprint: string;
  /** `SHA256:…` as OpenSSH prints it. */
  readonly sha256Fingerprint: string;
  readonly name: string;
  readonly algorithm: 'rsa' | 'ecdsa' | 'ed25519';
  readonly key: KeyObject;
}

/** One account as every request sees it: immutable, cached, reloaded when the control database says so. */
export interface AccountView {
  readonly uuid: Uuid;
  readonly login: string;
  readonly approved: boolean;
  /** Member of the group `operators`. */
  readonly operator: boolean;
  readonly groups: readonly string[];
  readonly snaplinksDisabled: boolean;
  /** By both fingerprints. */
  readonly keys: ReadonlyMap<string, KeyView>;
}

/** Who makes a request. `undefined` account: nobody, anonymous. */
export type Caller = { readonly kind: 'anonymous' } | { readonly kind: 'account'; readonly account: AccountView };

/** Read side: what webapi asks on every request. Throws MantaError `ServiceUnavailable` when identities are unavailable. */
export interface Accounts {
  byLogin(login: string): Promise<AccountView | undefined>;
  byUuid(uuid: Uuid): Promise<AccountView | undefined>;
  isAvailable(): boolean;
  close(): Promise<void>;
}
