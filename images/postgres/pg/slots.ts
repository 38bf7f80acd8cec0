import type { Session } from './session.ts';

/**
 * Physical slots, one a direct downstream, that keep the WAL it still needs (replication.md §11.9). The receivers name
 * none: a receiver is refused while the slot it names does not exist, and that would tie each change of upstream to the
 * upstream's having been told before. Instead the upstream's own sitter moves each slot to what its downstream has flushed.
 */
const PREFIX = 'manta_';

/** A slot's name for a peer: PostgreSQL allows lower-case letters, digits and underscores. */
export function slotName(id: string): string {
  return PREFIX + id.toLowerCase().replaceAll(/[^a-z0-9]/g, '_');
}

/** Makes the slots be exactly those of the downstreams. One whose WAL is gone is made anew. */
export async function keepSlots(session: Session, downstreams: readonly string[]): Promise<void> {
  const wanted = downstreams.map(slotName);
  // One that a session holds is a client's that is just going; the next call finds it free.
  await session.query(
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_type = 'physical' AND slot_name LIKE $1 AND NOT active
       AND (slot_name <> ALL ($2) OR restart_lsn IS NULL OR wal_status = 'lost')`,
    [`${PREFIX.replace('_', '\\_')}%`, wanted],
  );
  await session.query(
    `SELECT pg_create_physical_replication_slot(name, true) FROM unnest($1::text[]) AS name
     WHERE name NOT IN (SELECT slot_name FROM pg_replication_slots)`,
    [wanted],
  );
}

/** Moves each slot to where its downstream has flushed: older WAL is not needed for it. */
export async function advanceSlots(session: Session): Promise<void> {
  await session.query(
    `SELECT pg_replication_slot_advance(slot_name, flushed)
     FROM pg_replication_slots
     JOIN (SELECT $1 || regexp_replace(lower(application_name), '[^a-z0-9]', '_', 'g') AS name, max(flush_lsn) AS flushed
           FROM pg_stat_replication GROUP BY 1) AS downstream ON name = slot_name
     WHERE slot_type = 'physical' AND NOT active AND wal_status <> 'lost' AND restart_lsn < flushed`,
    [PREFIX],
  );
}
