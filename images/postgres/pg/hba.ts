import type { Settings } from '../server.ts';

/** What pg_hba.conf depends on besides the sitter's wish. */
export interface HbaContext {
  readonly peerNetworks: readonly string[];
  readonly tls?: unknown;
}

/**
 * The whole of pg_hba.conf (replication.md §11.5): the gate. No host line lets anybody in without SCRAM, and on a standby
 * no line admits clients whatever the wish says, so that one that is promoted comes up closed.
 */
export function pgHba(settings: Settings, { peerNetworks, tls }: HbaContext): string {
  const host = tls === undefined ? 'host' : 'hostssl';
  const databases = settings.databases.map(quote).join(',');
  const line = (...fields: string[]) => fields.join('  ');
  const admit = (database: string, users: string, network: string) =>
    line(host, database, users, network, 'scram-sha-256');
  const clients = settings.gate === 'open' && settings.role === 'primary' && databases !== '';
  return [
    '# Written by the sitter as a whole; changes are lost.',
    line('local', 'all', 'postgres', 'peer', 'map=sitter'),
    line('local', 'all', 'all', 'reject'),
    ...peerNetworks.flatMap(network => [
      admit('replication', 'manta_replication', network),
      admit('postgres', 'manta_replication', network),
    ]),
    admit('postgres', 'manta_monitor', 'all'),
    ...(settings.dumps && databases !== '' ? [admit(databases, 'manta_dump', 'all')] : []),
    ...(clients ? [admit(databases, '+manta_app,manta_migrate,manta_move', 'all')] : []),
    line('host', 'all', 'all', 'all', 'reject'),
    '',
  ].join('\n');
}

/** The whole of pg_ident.conf: the users of this machine that are the sitter. */
export function pgIdent(users: readonly string[]): string {
  return ['# Written by the sitter.', ...users.map(user => `sitter  ${quote(user)}  postgres`), ''].join('\n');
}

/** Quoted, a word means nothing but itself: not `all`, not a file, not a group. */
function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
