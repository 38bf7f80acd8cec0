import { z } from 'zod';

/** Configuration of one storage node. */
export const storageConfigSchema = z.strictObject({
  /** Name of the node for all time: `<n>.stor.<region domain>`. */
  storageId: z.string().min(1),
  /** Volume with the objects; `metadata.md` §14.2 gives its layout. */
  dir: z.string().min(1),
  /** Address to listen on. */
  host: z.string().default('127.0.0.1'),
  /** Port to listen on; 0 takes a free one. */
  port: z.number().int().min(0).max(65_535).default(0),
  /** What other programs reach this node by; default `http://<host>:<port>`. */
  baseUrl: z.url().optional(),
  /** Zone of the node. */
  datacenter: z.string().default('local'),
  /** What fails together with this node: a host, a rack. */
  failureDomain: z.string().min(1),
  /** Compute that sees the same volume. */
  computeId: z.string().optional(),
  /** webapi's internal listener, which takes the heartbeats. */
  webapiUrl: z.url(),
  /** Milliseconds between heartbeats. */
  heartbeatMs: z.number().int().positive().default(5_000),
  /** Bytes of the volume that writes never touch. */
  floorBytes: z
    .number()
    .int()
    .nonnegative()
    .default(1 << 30),
  /** Milliseconds an upload may be silent: webapi gives up on its client well before. */
  uploadIdleMs: z.number().int().positive().default(120_000),
  /** Milliseconds running requests get when the node stops. */
  drainMs: z.number().int().positive().default(30_000),
});

export type StorageConfig = z.infer<typeof storageConfigSchema>;
