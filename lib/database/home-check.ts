import type pg from 'pg';
import { DatabaseError } from './failure.ts';
import type { Home } from './moving-target.ts';

/**
 * Throws DatabaseError `unavailable` when the server at the other end is not the primary that it is taken for, or does not
 * say so within so many milliseconds. Its address may have been given to a server of another shard, which takes the same
 * password.
 */
export async function assertHome(client: pg.ClientBase, home: Home, withinMs: number): Promise<void> {
  const question = {
    text: 'SELECT system_identifier::text AS id, pg_is_in_recovery() AS standby FROM pg_control_system()',
    query_timeout: withinMs,
  };
  const { rows } = await client.query<{ id: string; standby: boolean }>(question);
  const server = rows[0];
  if (server?.standby === false && (home.systemId === undefined || server.id === home.systemId)) return;
  throw new DatabaseError('unavailable', 'the server is not the primary of this shard', { isRefusal: true });
}
