import pg from 'pg';
import { destroy } from './load-client.ts';

/**
 * What libpq's connection string with several hosts and `target_session_attrs=read-write` finds: a server out of recovery
 * that does not refuse writes. All hosts are asked at once, so that a silent one costs the system under test nothing.
 * Rejects when none is found within `connectMs`.
 */
export async function connectReadWrite(hosts: readonly pg.ClientConfig[], connectMs = 2_000): Promise<pg.Client> {
  const attempts = hosts.map(host => attempt(host, connectMs));
  const first = await Promise.any(attempts);
  for (const other of attempts) {
    other.then(
      client => client === first || destroy(client),
      () => {},
    );
  }
  return first;
}

async function attempt(host: pg.ClientConfig, connectMs: number): Promise<pg.Client> {
  const client = new pg.Client(host);
  client.on('error', () => {});
  const timer = setTimeout(() => destroy(client), connectMs);
  try {
    await client.connect();
    const { rows } = await client.query<{ serves: boolean }>(
      `SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS serves`,
    );
    if (rows[0]?.serves !== true) throw new Error('read-only');
    return client;
  } catch (error) {
    destroy(client);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
