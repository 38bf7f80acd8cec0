import type { Pool } from '../database/pool.ts';
import type { Uuid } from '../metadata/types.ts';
import { keyViewOf } from './public-key.ts';
import type { AccountView, KeyView } from './types.ts';

/** Names an account in one of the two ways it can be looked up. */
export type AccountName =
  | { readonly kind: 'login'; readonly login: string }
  | { readonly kind: 'uuid'; readonly uuid: Uuid };

/** A view and the revision of the rows it was made from. */
export interface LoadedAccount {
  readonly view: AccountView;
  readonly rev: bigint;
}

/** A row of `account_by_login_v1` and `account_by_uuid_v1`. */
export interface AccountRow {
  readonly uuid: Uuid;
  readonly login: string;
  readonly email: string;
  readonly approved: boolean;
  readonly groups: readonly string[];
  readonly snaplinks_disabled: boolean;
  /** bigint as text. */
  readonly rev: string;
  readonly keys: readonly KeyRow[];
}

interface KeyRow {
  readonly name: string;
  readonly algorithm: KeyView['algorithm'];
  readonly md5Fingerprint: string;
  readonly sha256Fingerprint: string;
  /** base64 DER. */
  readonly spki: string;
}

/** The account and its keys as they are committed now, in one round trip. Throws DatabaseError. */
export async function readAccountRow(
  pool: Pool,
  name: AccountName,
  deadlineMs?: number,
): Promise<AccountRow | undefined> {
  const options = { deadlineMs, isRepeatable: true };
  const rows =
    name.kind === 'login'
      ? await pool.query<AccountRow>('SELECT * FROM account_by_login_v1($1)', [name.login], options)
      : await pool.query<AccountRow>('SELECT * FROM account_by_uuid_v1($1)', [name.uuid], options);
  return rows[0];
}

/** The same as an immutable view, keys parsed. Undefined when there is no such account. Throws DatabaseError. */
export async function loadAccount(
  pool: Pool,
  name: AccountName,
  deadlineMs: number,
): Promise<LoadedAccount | undefined> {
  const row = await readAccountRow(pool, name, deadlineMs);
  return row === undefined ? undefined : { view: viewOf(row), rev: BigInt(row.rev) };
}

/** The revision alone; undefined when the account is gone. Throws DatabaseError. */
export async function loadRev(pool: Pool, uuid: Uuid, deadlineMs: number): Promise<bigint | undefined> {
  const rows = await pool.query<{ rev: string }>('SELECT * FROM account_rev_v1($1)', [uuid], {
    deadlineMs,
    isRepeatable: true,
  });
  return rows[0] === undefined ? undefined : BigInt(rows[0].rev);
}

function viewOf(row: AccountRow): AccountView {
  const keys = new Map<string, KeyView>();
  for (const stored of row.keys) {
    const key = keyViewOf(stored.name, { ...stored, spki: Buffer.from(stored.spki, 'base64') });
    keys.set(key.md5Fingerprint, key);
    keys.set(key.sha256Fingerprint, key);
  }
  return Object.freeze({
    uuid: row.uuid,
    login: row.login,
    approved: row.approved,
    operator: row.groups.includes('operators'),
    groups: Object.freeze([...row.groups]),
    snaplinksDisabled: row.snaplinks_disabled,
    keys,
  });
}
