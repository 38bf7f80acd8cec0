import { z } from 'zod';

const node = z.string().min(1);

/** What can be done with a running cluster. */
export const orderSchema = z.discriminatedUnion('kind', [
  /** Power, and the network cable. */
  z.strictObject({ kind: z.enum(['start', 'crash', 'cut', 'heal']), node }),
  /** One program, killed and kept down until it is resumed; `node` may be `control-plane`. */
  z.strictObject({ kind: z.enum(['stop', 'resume']), node, program: z.string().min(1) }),
  z.strictObject({ kind: z.literal('exec'), node, argv: z.array(z.string()).min(1) }),
  /** Gives every node that has power the images of these archives. */
  z.strictObject({ kind: z.literal('load'), archives: z.array(z.string()) }),
]);
export type Order = z.infer<typeof orderSchema>;

/** How a command on a node ended; other orders answer nothing. */
export const orderAnswerSchema = z.object({ code: z.int(), stdout: z.string(), stderr: z.string() }).partial();

const program = z.object({
  name: z.string(),
  /** In the supervisor's namespace; absent while it does not run. */
  pid: z.int().optional(),
});

/** What is to be known of a cluster. */
export const clusterStatusSchema = z.object({
  name: z.string(),
  /** False while it comes up. */
  isUp: z.boolean(),
  isKept: z.boolean(),
  apiPort: z.int(),
  proxyPort: z.int(),
  /** Whose images the nodes have: the last one of each name. */
  archives: z.array(z.string()),
  controlPlane: z.object({ programs: z.array(program), memoryBytes: z.number().optional() }),
  nodes: z.array(
    z.object({
      name: z.string(),
      zone: z.string(),
      isUp: z.boolean(),
      programs: z.array(program),
      memoryBytes: z.number().optional(),
    }),
  ),
});
export type ClusterStatus = z.infer<typeof clusterStatusSchema>;
