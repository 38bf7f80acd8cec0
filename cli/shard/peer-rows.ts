import type { Shard } from '../../lib/resources/types.ts';
import type { Table } from '../table.ts';

type Peer = NonNullable<NonNullable<Shard['status']>['peers']>[number];

/** A peer as `shard status` lists it. */
export interface PeerRow {
  readonly role: string;
  readonly peer: string;
  readonly zone: string | undefined;
  readonly node: string | undefined;
  /** What the sitter says of its PostgreSQL, in a word. */
  readonly pg: string | undefined;
  readonly timeline: number | undefined;
  /** Bytes of WAL behind the primary, in steps of 16 MiB. */
  readonly lagBytes: number | undefined;
  /** Percent of a base backup in progress. */
  readonly rebuildPercent: number | undefined;
}

/** Columns of `shard status`, as far as a Shard's status knows them: operations.md §6. */
export const peerTable: Table<PeerRow> = {
  columns: [
    { name: 'role', value: row => row.role },
    { name: 'peer', value: row => row.peer },
    { name: 'zone', value: row => row.zone },
    { name: 'node', value: row => row.node },
    { name: 'pg', value: row => row.pg },
    { name: 'timeline', header: 'TL', value: row => row.timeline },
    { name: 'lag', value: row => row.lagBytes },
    { name: 'rebuild', value: row => row.rebuildPercent },
  ],
  shown: ['role', 'peer', 'zone', 'node', 'pg', 'timeline', 'lag'],
};

const ROLES = ['primary', 'sync', 'async', 'deposed', 'none'];

/** The peers in the order of the chain. Pure. */
export function peerRows({ status }: Pick<Shard, 'status'>): readonly PeerRow[] {
  const chain = [status?.primary, status?.sync, ...(status?.async ?? []), ...(status?.deposed ?? [])];
  const place = ({ name, role }: Peer) => {
    const at = chain.indexOf(name);
    return at < 0 ? chain.length + ROLES.indexOf(role ?? 'none') : at;
  };
  return [...(status?.peers ?? [])]
    .sort((a, b) => place(a) - place(b))
    .map(({ name, role, zone, node, health, timeline, lagBytes, rebuild }) => ({
      role: role ?? 'none',
      peer: name,
      zone,
      node,
      pg: health,
      timeline,
      // Of the primary there is nothing to be behind of.
      lagBytes: role === 'primary' ? undefined : lagBytes,
      rebuildPercent: rebuild?.percent,
    }));
}
