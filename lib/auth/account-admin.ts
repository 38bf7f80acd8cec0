import { z } from 'zod';
import type { Pool } from '../database/pool.ts';
import { MantaError } from '../errors/manta-error.ts';
import { newUuid } from '../metadata/path.ts';
import type { Uuid } from '../metadata/types.ts';
import { GROUPS, LOGIN } from './account-rules.ts';
import { readAccountRow } from './account-store.ts';
import { parsePublicKey } from './public-key.ts';
import type { KeyView } from './types.ts';

const KEY_NAME = /^[^/\p{Cc}]{1,128}$/u;
const EMAIL = /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u;

const changeSchema = z.strictObject({
  login: z.string().regex(LOGIN, 'must be a letter followed by 2 to 31 of letters, digits and _ . @ -').optional(),
  email: z.string().max(254).regex(EMAIL, 'must be an e-mail address').optional(),
  approved: z.boolean().optional(),
  groups: z.array(z.enum(GROUPS)).refine(isWithoutDuplicates, 'must not repeat a group').optional(),
  snaplinksDisabled: z.boolean().optional(),
});

/**
 * What may be set on an account; absent fields stay. A new account needs an `email`, is approved and in no group unless
 * told otherwise. `login` renames.
 */
export type AccountChange = z.output<typeof changeSchema>;

/** One line of the list of accounts. */
export interface AccountSummary {
  readonly uuid: Uuid;
  readonly login: string;
  readonly approved: boolean;
  readonly groups: readonly string[];
}

/** A key as it is shown; the key itself is not given out again. */
export interface KeySummary {
  readonly name: string;
  readonly algorithm: KeyView['algorithm'];
  readonly md5Fingerprint: string;
  readonly sha256Fingerprint: string;
}

/** The whole account. */
export interface AccountDetails extends AccountSummary {
  readonly email: string;
  readonly snaplinksDisabled: boolean;
  /** By name. */
  readonly keys: readonly KeySummary[];
}

/**
 * The write side of accounts and keys, straight on the control database. Every call is one transaction and may be
 * repeated. Throws MantaError `InvalidParameter`, `ResourceNotFound`, `EntityAlreadyExists`, and DatabaseError.
 * auth.md §2, §13.2, §13.9.
 */
export interface AccountAdmin {
  /** Up to `limit` accounts in order of login, after the one named (`''` for the first page). */
  list(after: string, limit: number): Promise<readonly AccountSummary[]>;
  get(login: string): Promise<AccountDetails | undefined>;
  /** Creates the account or changes it. Repeating a rename finds the account under its new login. */
  put(login: string, change: AccountChange): Promise<{ readonly kind: 'created' | 'changed'; readonly uuid: Uuid }>;
  /** Gives the account this key (OpenSSH or PEM) under this name, in place of one it had there. */
  putKey(login: string, name: string, text: string): Promise<KeySummary>;
  /** Done as well when there was no such key. */
  deleteKey(login: string, name: string): Promise<void>;
}

/** As AccountAdmin promises. */
const REPEATABLE = { isRepeatable: true } as const;

/** On a pool of the control database whose role may execute the functions of `migrations`. */
export function createAccountAdmin(deps: { readonly pool: Pool }): AccountAdmin {
  const { pool } = deps;
  return {
    list: (after, limit) =>
      pool.query<AccountSummary & object>('SELECT * FROM list_accounts_v1($1, $2)', [after, limit], REPEATABLE),
    get: login => getAccount(pool, login),
    put: (login, change) => putAccount(pool, login, change),
    putKey: (login, name, text) => putKey(pool, login, name, text),
    deleteKey: async (login, name) => {
      const [answer] = await pool.query<{ outcome: string }>(
        'SELECT * FROM delete_key_v1($1, $2)',
        [knownLogin(login), checkedKeyName(name)],
        REPEATABLE,
      );
      if (answer?.outcome === 'absent') throw noSuchAccount(login);
    },
  };
}

/** Checks an account's new values. Throws MantaError `InvalidParameter` that names the first field at fault. */
export function parseAccountChange(value: unknown): AccountChange {
  const parsed = changeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(`${issue?.path.join('.') || 'account'}: ${issue?.message ?? 'invalid'}`);
}

async function getAccount(pool: Pool, login: string): Promise<AccountDetails | undefined> {
  if (!LOGIN.test(login)) return undefined;
  const row = await readAccountRow(pool, { kind: 'login', login });
  if (row === undefined) return undefined;
  return {
    uuid: row.uuid,
    login: row.login,
    email: row.email,
    approved: row.approved,
    groups: row.groups,
    snaplinksDisabled: row.snaplinks_disabled,
    keys: row.keys.map(({ name, algorithm, md5Fingerprint, sha256Fingerprint }) => ({
      name,
      algorithm,
      md5Fingerprint,
      sha256Fingerprint,
    })),
  };
}

async function putAccount(
  pool: Pool,
  login: string,
  change: AccountChange,
): Promise<{ kind: 'created' | 'changed'; uuid: Uuid }> {
  parseAccountChange({ login });
  const { email, approved, groups, snaplinksDisabled, login: newLogin } = parseAccountChange(change);
  const [answer] = await pool.query<{ outcome: string; account_uuid: Uuid }>(
    'SELECT * FROM put_account_v1($1, $2, $3, $4, $5, $6, $7)',
    [login, newUuid(), email, approved, groups, snaplinksDisabled, newLogin],
    REPEATABLE,
  );
  switch (answer?.outcome) {
    case 'created':
    case 'changed':
      return { kind: answer.outcome, uuid: answer.account_uuid };
    case 'absent':
      throw noSuchAccount(login);
    case 'login_taken':
      throw new MantaError('EntityAlreadyExists', `${newLogin} already exists`);
    default:
      throw invalid('email: a new account needs one');
  }
}

async function putKey(pool: Pool, login: string, name: string, text: string): Promise<KeySummary> {
  checkedKeyName(name);
  const key = parsePublicKey(text);
  const [answer] = await pool.query<{ outcome: string }>(
    'SELECT * FROM put_key_v1($1, $2, $3, $4, $5, $6)',
    [knownLogin(login), name, key.algorithm, key.md5Fingerprint, key.sha256Fingerprint, key.spki],
    REPEATABLE,
  );
  if (answer?.outcome === 'absent') throw noSuchAccount(login);
  if (answer?.outcome === 'duplicate') {
    throw new MantaError('EntityAlreadyExists', `${login} has this key under another name`);
  }
  const { algorithm, md5Fingerprint, sha256Fingerprint } = key;
  return { name, algorithm, md5Fingerprint, sha256Fingerprint };
}

/** No account has a login of another form, and PostgreSQL would not even look for some of them. */
function knownLogin(login: string): string {
  if (!LOGIN.test(login)) throw noSuchAccount(login);
  return login;
}

function checkedKeyName(name: string): string {
  if (!KEY_NAME.test(name)) throw invalid('name: must be 1 to 128 characters without slashes and control characters');
  return name;
}

function isWithoutDuplicates(list: readonly string[]): boolean {
  return new Set(list).size === list.length;
}

function noSuchAccount(login: string): MantaError {
  return new MantaError('ResourceNotFound', `${login} does not exist`);
}

function invalid(message: string): MantaError {
  return new MantaError('InvalidParameter', message);
}
