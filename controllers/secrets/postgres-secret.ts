import { missingPasswords, type SecretData } from './secret-data.ts';

/** The roles of a shard that log in with a password: replication.md §11.5, metadata.md §12.18. */
export const POSTGRES_ROLES = [
  'manta_replication',
  'manta_monitor',
  'manta_migrate',
  'manta_webapi',
  'manta_jobsupervisor',
  'manta_ops',
  'manta_dump',
  'manta_move',
] as const;

/** A role of a shard. */
export type PostgresRole = (typeof POSTGRES_ROLES)[number];

/** The entry of Secret `manta-postgres` with the password of a role on one shard. */
export function postgresEntry(shard: number, role: PostgresRole): string {
  return `shard-${shard}.${role}`;
}

/** A password for every role of every shard that has none. */
export function missingPostgres(found: SecretData, shards: readonly number[]): SecretData {
  return missingPasswords(
    found,
    shards.flatMap(shard => POSTGRES_ROLES.map(role => postgresEntry(shard, role))),
  );
}
