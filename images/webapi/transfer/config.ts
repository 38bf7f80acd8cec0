import { z } from 'zod';

/** How webapi deals with storage nodes. Defaults are those of http-api.md §14–§15 and metadata.md §14. */
export const transferConfigSchema = z.strictObject({
  /** Milliseconds between looks at the registry of storage nodes. */
  refreshMs: z.number().int().positive().default(5_000),
  /** Milliseconds after its last heartbeat during which a node gets new objects. */
  heartbeatMaxAgeMs: z.number().int().positive().default(60_000),
  /** Milliseconds for which placement goes on with an old view when the registry cannot be reached. */
  viewMaxAgeMs: z.number().int().positive().default(600_000),
  /** Per cent of a node that may be used by ordinary accounts. */
  maxUtilizationPct: z.number().min(0).max(100).default(90),
  /** Per cent of a node that may be used by operators. */
  maxOperatorUtilizationPct: z.number().min(0).max(100).default(92),
  /** Free inodes below which a node gets no new objects. */
  minInodesFree: z.number().int().nonnegative().default(10_000),
  /** Copies must span two datacenters. */
  multiDc: z.boolean().default(false),
  /** Two copies of an object may lie in one failure domain. */
  allowSharedFailureDomain: z.boolean().default(false),
  /** Bytes set aside for an upload of unknown length that names no maximum. */
  reserveBytes: z
    .number()
    .int()
    .positive()
    .default(5_120 * 1_048_576),
  /** Bytes at most of an upload of unknown length that names no maximum. */
  streamingMaxBytes: z
    .number()
    .int()
    .positive()
    .default(5_120 * 1_048_576),
  /** Milliseconds a client may be silent in the middle of a body. */
  clientIdleMs: z.number().int().positive().default(45_000),
  /** Milliseconds a node may accept nothing while bytes wait for it. */
  stallMs: z.number().int().positive().default(20_000),
  /** Milliseconds a node has for its answer after the last byte. */
  answerMs: z.number().int().positive().default(30_000),
  /** Milliseconds for a connection to a node. */
  connectMs: z.number().int().positive().default(2_000),
  /** Milliseconds a node has for `100 Continue`. */
  continueMs: z.number().int().positive().default(5_000),
  /** Milliseconds a node has for the first byte of an object. */
  firstByteMs: z.number().int().positive().default(10_000),
  /** Connections to one node at most, and how many stay open unused. */
  maxSocketsPerNode: z.number().int().positive().default(256),
  maxIdleSocketsPerNode: z.number().int().nonnegative().default(32),
});

export type TransferConfig = z.infer<typeof transferConfigSchema>;
