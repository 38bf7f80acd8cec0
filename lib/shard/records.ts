import { z } from 'zod';
import { lsnText, pgUrlSchema, restoreSchema, sitterUrlSchema } from './state.ts';

/** The other values under a shard's prefix in etcd: replication.md §5.2, §5.4, §6.1, §6.6. */

export const peerStatuses = ['active', 'leaving', 'abdicating', 'handoff', 'handed-off', 'rejoin-ready'] as const;
export const peerHealths = [
  'ok',
  'starting',
  'recovering',
  'lagging',
  'disk-full',
  'crash-loop',
  'foreign-data',
  'lost-data',
  'rebuild-failed',
] as const;
export type PeerStatus = (typeof peerStatuses)[number];
export type PeerHealth = (typeof peerHealths)[number];

/** What the volume remembers (§5.3): it never falls. */
export const highWaterSchema = z.object({
  maxGeneration: z.int(),
  maxSeq: z.int(),
  lastRole: z.enum(['primary', 'sync', 'async', 'deposed', 'none']),
  lastTimeline: z.int(),
});
export type HighWater = Readonly<z.infer<typeof highWaterSchema>>;

/** `peers/<id>`, bound to the peer's lease. Positions in it are for people; no safety decision reads another peer's. */
export const peerRecordSchema = z.looseObject({
  id: z.string(),
  /** Random per process start. */
  session: z.string(),
  incarnation: z.string().nullable(),
  pgUrl: pgUrlSchema,
  sitterUrl: sitterUrlSchema,
  zone: z.string().optional(),
  node: z.string().optional(),
  pgMajor: z.int(),
  status: z.enum(peerStatuses),
  /** The generation that `status` was set in. */
  statusGeneration: z.int(),
  systemId: z.string().nullable(),
  timeline: z.int().nullable(),
  walEnd: lsnText.nullable(),
  /** Where a primary that handed over had stopped: the end of its shutdown checkpoint. */
  handedOffAt: lsnText.optional(),
  /** False from a promotion until the first checkpoint after it has ended. */
  rewindable: z.boolean(),
  health: z.enum(peerHealths),
  local: highWaterSchema,
  /** Of a base backup or a rewind, 0 to 1. */
  progress: z.number().optional(),
  /** The rule that holds this peer back, and why. */
  rule: z.object({ name: z.string(), why: z.string() }).optional(),
});
export type PeerRecord = Readonly<z.infer<typeof peerRecordSchema>>;

/** `config`, written by the operator from the Shard resource. */
export const shardConfigSchema = z.looseObject({
  /** Pods with an ordinal below this belong to the shard. 1, or an odd number from 3. */
  peers: z.int().min(1),
  freeze: z.object({ at: z.string(), by: z.string(), reason: z.string() }).optional(),
  failover: z.enum(['auto', 'manual']).default('auto'),
  databases: z.array(z.string()).default([]),
  /** Further settings of postgresql.conf. */
  parameters: z.record(z.string(), z.string()).default({}),
  /** Where base backups and WAL go: a directory or an object URL. */
  backup: z.object({ target: z.string(), recoveryDays: z.int().min(1).default(7) }).optional(),
});
export type ShardConfig = Readonly<z.infer<typeof shardConfigSchema>>;

export const bootstrapSchema = z.looseObject({
  at: z.string(),
  /** Replaces initdb by a restore. */
  restore: restoreSchema.optional(),
});
export type Bootstrap = Readonly<z.infer<typeof bootstrapSchema>>;

const requestBase = z.looseObject({ id: z.string(), generation: z.int(), by: z.string() });
export const requestSchemas = {
  switchover: requestBase.extend({ peer: z.string().optional(), maxLagBytes: z.int().optional() }),
  rebuild: requestBase.extend({ peer: z.string() }),
  'force-takeover': requestBase.extend({ peer: z.string(), acceptDataLoss: z.literal(true) }),
  'state-repair': requestBase.extend({
    peer: z.string(),
    sync: z.string().optional(),
    acceptDataLoss: z.boolean().optional(),
  }),
} as const;
export type RequestKind = keyof typeof requestSchemas;
export type Requests = { readonly [Kind in RequestKind]?: Readonly<z.infer<(typeof requestSchemas)[Kind]>> };

export const answerSchema = z.looseObject({
  id: z.string(),
  outcome: z.enum(['Pending', 'Done', 'Refused', 'Failed']),
  message: z.string(),
});
export type Answer = Readonly<z.infer<typeof answerSchema>>;

/** The number at the end of a pod's name; a peer with an ordinal outside `config.peers` is leaving for good. */
export function ordinalOf(id: string): number {
  return Number(/(\d+)$/.exec(id)?.[1] ?? Number.NaN);
}
