import type { Endpoint } from '../server.ts';

/** What the receiver's connection string depends on. */
export interface ReceiverContext {
  readonly id: string;
  /** Of the binaries, and so of their libpq. */
  readonly major: number;
  readonly receiverPasswordFile: string;
  readonly tls?: unknown;
}

/**
 * `primary_conninfo`. The password is never in it: cutting the receiver off rests on its being in the file alone
 * (replication.md §7.5). Before 16 libpq cannot demand SCRAM; there the upstreams' pg_hba.conf alone does.
 */
export function receiverConninfo(upstream: Endpoint, context: ReceiverContext): string {
  return conninfo({
    ...replicationConninfo(upstream, context),
    application_name: context.id,
    passfile: context.receiverPasswordFile,
  });
}

/** What every connection of the replication role to another peer has in common. */
export function replicationConninfo(
  peer: Endpoint,
  { major, tls }: Pick<ReceiverContext, 'major' | 'tls'>,
): Record<string, string> {
  return {
    host: peer.host,
    port: String(peer.port),
    user: 'manta_replication',
    ...(major >= 16 ? { require_auth: 'scram-sha-256' } : {}),
    sslmode: tls === undefined ? 'prefer' : 'require',
    gssencmode: 'disable',
    connect_timeout: '2',
    keepalives: '1',
    keepalives_idle: '2',
    keepalives_interval: '1',
    keepalives_count: '3',
    tcp_user_timeout: '5000',
  };
}

/** Writes a libpq connection string. */
export function conninfo(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${quote(value)}`)
    .join(' ');
}

function quote(value: string): string {
  return /^[\w./:-]+$/.test(value) ? value : `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A line of a libpq password file that fits every server. */
export function passwordLine(user: string, password: string): string {
  const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll(':', '\\:');
  return `*:*:*:${escaped(user)}:${escaped(password)}\n`;
}
