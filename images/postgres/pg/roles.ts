import type { Passwords } from './passwords.ts';
import { isVerifierOf, scramVerifier } from './scram.ts';
import type { Session } from './session.ts';

/** A role of replication.md §11.5 or metadata.md §12.18. */
interface Role {
  readonly name: string;
  readonly canLogin: boolean;
  readonly replicates?: boolean;
  readonly memberOf?: readonly string[];
  readonly always?: Readonly<Record<string, string>>;
}

/** In an order in which each may be made a member of those before it. No role but the sitter's own is a superuser. */
const ROLES: readonly Role[] = [
  { name: 'manta_owner', canLogin: false },
  { name: 'manta_app', canLogin: false },
  { name: 'manta_migrate', canLogin: true, memberOf: ['manta_owner'] },
  { name: 'manta_webapi', canLogin: true, memberOf: ['manta_app'] },
  { name: 'manta_jobsupervisor', canLogin: true, memberOf: ['manta_app'] },
  { name: 'manta_ops', canLogin: true, memberOf: ['manta_app'] },
  {
    name: 'manta_dump',
    canLogin: true,
    memberOf: ['pg_read_all_data'],
    always: { default_transaction_read_only: 'on' },
  },
  { name: 'manta_move', canLogin: true, replicates: true },
  { name: 'manta_replication', canLogin: true, replicates: true },
  {
    name: 'manta_monitor',
    canLogin: true,
    memberOf: ['pg_monitor'],
    always: { default_transaction_read_only: 'on' },
  },
];

/** Roles that may log in while the gate is open, by the order in which a trial login prefers them. */
export const CLIENT_ROLES = ['manta_webapi', 'manta_jobsupervisor', 'manta_ops', 'manta_migrate'] as const;

/** What pg_rewind calls on its source. */
const REWIND_FUNCTIONS = [
  'pg_ls_dir(text, boolean, boolean)',
  'pg_stat_file(text, boolean)',
  'pg_read_binary_file(text)',
  'pg_read_binary_file(text, bigint, bigint, boolean)',
];

interface Known {
  readonly name: string;
  readonly verifier: string | null;
  readonly canLogin: boolean;
  readonly replicates: boolean;
  readonly groups: readonly string[];
  readonly settings: readonly string[];
}

/**
 * Makes the roles and their passwords be as they should. Statements are issued only for what differs, so that a second
 * call writes nothing. A role whose password is not there keeps the one it has.
 */
export async function bringRolesAbout(session: Session, passwords: Passwords): Promise<void> {
  // The first primary makes them before it has a sync that could confirm; they lead the WAL that the sync will receive.
  await session.query('SET synchronous_commit = local');
  const rows = await session.query<Known>(
    `SELECT rolname AS name, rolpassword AS verifier, rolcanlogin AS "canLogin", rolreplication AS replicates,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = a.oid)
         AS groups,
       ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0) AS settings
     FROM pg_authid a WHERE rolname LIKE 'manta\\_%'`,
  );
  const known = new Map(rows.map(row => [row.name, row]));
  for (const role of ROLES) {
    for (const statement of statementsFor(role, known.get(role.name), await passwords.of(role.name)))
      await session.query(statement);
  }
  await grantOnce(session);
}

function statementsFor(role: Role, known: Known | undefined, password: string | undefined): string[] {
  const statements: string[] = [];
  const attributes = `${role.canLogin ? 'LOGIN' : 'NOLOGIN'} ${role.replicates ? 'REPLICATION' : 'NOREPLICATION'}`;
  const isSame = known?.canLogin === role.canLogin && known.replicates === (role.replicates ?? false);
  if (!isSame) statements.push(`${known === undefined ? 'CREATE' : 'ALTER'} ROLE ${role.name} ${attributes}`);
  if (role.canLogin && password !== undefined && !isVerifierOf(known?.verifier ?? '', password))
    statements.push(`ALTER ROLE ${role.name} PASSWORD '${scramVerifier(password)}'`);
  for (const group of role.memberOf ?? [])
    if (!known?.groups.includes(group)) statements.push(`GRANT ${group} TO ${role.name}`);
  for (const [name, value] of Object.entries(role.always ?? {}))
    if (!known?.settings.includes(`${name}=${value}`))
      statements.push(`ALTER ROLE ${role.name} SET ${name} = ${value}`);
  return statements;
}

/** Rights in the database `postgres` and on parameters; what is granted already is not granted again. */
async function grantOnce(session: Session): Promise<void> {
  for (const name of REWIND_FUNCTIONS) {
    const [row] = await session.query<{ granted: boolean }>(
      `SELECT has_function_privilege('manta_replication', 'pg_catalog.${name}', 'EXECUTE') AS granted`,
    );
    if (!row?.granted) await session.query(`GRANT EXECUTE ON FUNCTION pg_catalog.${name} TO manta_replication`);
  }
  const [move] = await session.query<{ granted: boolean }>(
    `SELECT has_parameter_privilege('manta_move', 'session_replication_role', 'SET') AS granted`,
  );
  if (!move?.granted) await session.query('GRANT SET ON PARAMETER session_replication_role TO manta_move');
}
