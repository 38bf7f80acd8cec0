import { z } from 'zod';
import { transferConfigSchema } from './transfer/config.ts';

const port = z.int().min(0).max(65_535);
const milliseconds = z.int().positive();
const bytes = z.int().nonnegative();

/** Everything that webapi can be told. Unknown keys fail. */
export const webapiConfigSchema = z.strictObject({
  /** Where the public API listens. Port 0 takes a free one. */
  listen: z.strictObject({ host: z.string().default('0.0.0.0'), port: port.default(8080) }).prefault({}),
  /** Where programs and people of the region come: health, metrics, heartbeats, administration. Never exposed. */
  control: z.strictObject({ host: z.string().default('0.0.0.0'), port: port.default(9090) }).prefault({}),
  /** The region's name. */
  region: z.string().min(1),
  /** `x-server-name` of every answer; any opaque name of this process. */
  serverName: z.string().min(1).default('webapi'),
  /** `Server` of every answer. Clients take the text after a slash for a generation without jobs and snaplinks. */
  serverHeader: z.string().min(1).default('Manta'),
  /** Accept signed requests over plain HTTP. For development only: a captured header can be replayed for 300 s. */
  insecureHttp: z.boolean().default(false),
  /** Addresses and networks (CIDR) whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  trustedProxies: z.array(z.string()).default([]),
  /**
   * Whoever connects is a load balancer of the region, wherever it is, because nobody else can: what it says of its client
   * is believed. operations.md §5.5.
   */
  trustsPeers: z.boolean().default(false),
  copies: z
    .strictObject({
      /** Copies of an object whose PUT does not say. */
      default: z.int().min(1).default(2),
      /** Most copies a client may ask for. */
      max: z.int().min(1).default(6),
    })
    .prefault({}),
  limits: z
    .strictObject({
      /** Bytes of request line and headers; beyond: 431. */
      headerBytes: bytes.default(65_536),
      /** Open connections; more are closed as they come. */
      connections: z.int().positive().default(10_000),
      /** Entries of a directory; a PUT that would add one to more than these gets 409. */
      directoryEntries: z.int().positive().default(1_000_000),
      /** Requests worked on at once; 0 does not limit them. */
      concurrentRequests: z.int().nonnegative().default(0),
      /** Requests that may wait for their turn; beyond: 503. Only with `concurrentRequests`. */
      queuedRequests: z.int().nonnegative().default(25),
    })
    .prefault({}),
  /** Storage nodes: placement, uploads, downloads. */
  transfer: transferConfigSchema.prefault({}),
  /** All in milliseconds. */
  timers: z
    .strictObject({
      /** Time for a request's headers to arrive. */
      headers: milliseconds.default(60_000),
      /** Idle time of a connection between two requests. */
      keepAlive: milliseconds.default(120_000),
      /** Time for which nothing moves on a connection in the middle of a request, such as an answer nobody reads. */
      stall: milliseconds.default(240_000),
      /** Between the first 503 of `/ping` and the end of accepting, so that balancers notice: 5,000 in Kubernetes. */
      lameDuck: z.int().nonnegative().default(0),
      /** Time that running requests have at shutdown. */
      drain: milliseconds.default(30_000),
      /** Between two sweeps of half-done directory operations. */
      sweep: milliseconds.default(10_000),
    })
    .prefault({}),
});

export type WebapiConfig = z.infer<typeof webapiConfigSchema>;
