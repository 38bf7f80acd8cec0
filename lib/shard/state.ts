import { z } from 'zod';

/** A WAL position as text. Whoever decides by a value of etcd, or of another peer, must not fail at it. */
export const lsnText = z.string().regex(/^[0-9a-f]{1,8}\/[0-9a-f]{1,8}$/i);

const address = (form: RegExp) => z.string().refine(text => form.test(text) && URL.canParse(text), 'not an address');
/** `postgresql://host:port`, without a user. */
export const pgUrlSchema = address(/^postgresql:\/\/./);
/** `http://host:port` of a sitter. */
export const sitterUrlSchema = address(/^https?:\/\/./);

/** What the state says of a peer: enough to reach it without its record. */
export const peerRefSchema = z.looseObject({
  /** The pod's name. */
  id: z.string().min(1),
  /** One life of a data directory; null until it has one. It changes with initdb and base backup, not with a rewind. */
  incarnation: z.string().nullable(),
  pgUrl: pgUrlSchema,
  sitterUrl: sitterUrlSchema,
  zone: z.string().optional(),
  node: z.string().optional(),
});
export type PeerRef = Readonly<z.infer<typeof peerRefSchema>>;

/** A former primary whose WAL may hold records that nobody else has. */
export const deposedRefSchema = peerRefSchema.extend({
  sinceGeneration: z.int(),
  forkTimeline: z.int(),
  forkWal: lsnText,
});
export type DeposedRef = Readonly<z.infer<typeof deposedRefSchema>>;

/** Where a shard's first database comes from when it is not a new one. */
export const restoreSchema = z.object({ from: z.string(), until: z.string().optional() });

/** Why a state was written, for the history (appendix D). */
export const causes = [
  'setup',
  'system-id',
  'sync-replaced',
  'takeover',
  'switchover',
  'async-added',
  'async-removed',
  'address',
  'rejoined',
  'deposed-removed',
  'force-takeover',
  'state-repair',
] as const;
export type Cause = (typeof causes)[number];

/**
 * The topology of a shard (replication.md §5.1), the value of the key `state`. Fields this version does not know are kept
 * when it is rewritten. `validateState` and `validateTransition` hold its rules.
 */
export const clusterStateSchema = z.looseObject({
  v: z.literal(2),
  /** One more with every write of the key. */
  seq: z.int(),
  /** One more with every change of (primary, sync). */
  generation: z.int(),
  primary: peerRefSchema,
  /** Null only with `oneNode`. */
  sync: peerRefSchema.nullable(),
  /** In the order of the chain. */
  async: z.array(peerRefSchema),
  deposed: z.array(deposedRefSchema),
  /** What the sync must hold before it may take over in this generation. */
  initWal: lsnText,
  initTimeline: z.int(),
  /** The highest timeline ever reserved for the shard. */
  timeline: z.int(),
  /** PostgreSQL's system identifier; null until initdb is done. */
  systemId: z.string().nullable(),
  pgMajor: z.int().nullable(),
  oneNode: z.enum(['created', 'lone-survivor']).optional(),
  /** Until there is a database: make it from this backup, to its end or up to a time (RFC 3339). */
  restore: restoreSchema.optional(),
  cause: z.string(),
  /** Peer id. */
  writer: z.string(),
});
export type ClusterState = Readonly<z.infer<typeof clusterStateSchema>>;

/** Where a peer stands in a state. */
export type Role = 'primary' | 'sync' | 'async' | 'deposed' | 'none';

/** The role of a peer in a state. */
export function roleOf(state: ClusterState, id: string): Role {
  if (state.primary.id === id) return 'primary';
  if (state.sync?.id === id) return 'sync';
  if (state.async.some(peer => peer.id === id)) return 'async';
  if (state.deposed.some(peer => peer.id === id)) return 'deposed';
  return 'none';
}

/** All living peers from the primary to the tail. */
export function chainOf(state: ClusterState): readonly PeerRef[] {
  return [state.primary, ...(state.sync === null ? [] : [state.sync]), ...state.async];
}

/** Whom a peer receives its WAL from; undefined for the primary and for those outside the chain. */
export function upstreamOf(state: ClusterState, id: string): PeerRef | undefined {
  const chain = chainOf(state);
  const place = chain.findIndex(peer => peer.id === id);
  return place > 0 ? chain[place - 1] : undefined;
}

/** Who receives its WAL from a peer; undefined for the tail and for those outside the chain. */
export function downstreamOf(state: ClusterState, id: string): PeerRef | undefined {
  const chain = chainOf(state);
  const place = chain.findIndex(peer => peer.id === id);
  return place < 0 ? undefined : chain[place + 1];
}
