import type { Session } from '../pg/session.ts';

/**
 * The slot that keeps WAL for the archive on the server it is archived from. Its name does not begin as those of the
 * downstreams do, which their keeper removes. What it keeps is bounded by max_slot_wal_keep_size.
 */
export const SLOT = 'wal_archive';

/** Makes it be there. One whose WAL is gone is made anew. */
export async function keepArchiveSlot(session: Session): Promise<void> {
  await session.query(
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_name = $1 AND NOT active AND (restart_lsn IS NULL OR wal_status = 'lost')`,
    [SLOT],
  );
  await session.query(
    `SELECT pg_create_physical_replication_slot($1, true)
     WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`,
    [SLOT],
  );
}

/** Whether it is gone. One that a session still holds is not. */
export async function dropArchiveSlot(session: Session): Promise<boolean> {
  await session.query(
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active`,
    [SLOT],
  );
  return (await session.query(`SELECT FROM pg_replication_slots WHERE slot_name = $1`, [SLOT])).length === 0;
}
