import pg from 'pg';
import type { PeerTable } from '../../faults/shard/checker.ts';

/** One server's copy of the load's table, read over a connection of its own each time. */
export function peerTable(name: string, address: pg.ClientConfig): PeerTable {
  return {
    name,
    async query(text) {
      const client = new pg.Client({ ...address, types: { getTypeParser: () => (value: unknown) => String(value) } });
      client.on('error', () => {});
      await client.connect();
      try {
        // Several statements give several results: the last one counts.
        return [await client.query<string[]>({ text, rowMode: 'array' })].flat().at(-1)?.rows ?? [];
      } finally {
        await client.end();
      }
    },
  };
}
