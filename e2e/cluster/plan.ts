import { z } from 'zod';

/** All that a cluster is made from. Its supervisor reads it from `plan.json` in the cluster's directory. */
export const clusterPlanSchema = z.strictObject({
  /** Also the name of its cgroup. */
  name: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/),
  /** Its state, absolute. It goes when the cluster goes. */
  dir: z.string().min(1),
  nodes: z.int().min(1).max(9),
  /** Values of the zone label; nodes take them in turn. */
  zones: z.array(z.string()).min(1),
  /** Directories for PersistentVolumes of each node. */
  volumesPerNode: z.int().min(0).max(100),
  /** TCP port of 127.0.0.1 on which this machine reaches the API server, and of the API server itself. */
  apiPort: z.int(),
  /** TCP port of 127.0.0.1 on which this machine finds an HTTP proxy into the cluster. */
  proxyPort: z.int(),
  /** Archives whose images all nodes have, absolute paths. */
  archives: z.array(z.string()),
  /** Directory for imported images that clusters start from; it outlives them. */
  templates: z.string(),
  /** Without, the cluster ends with the process that started it. */
  isKept: z.boolean(),
});
/** The checked plan. */
export type ClusterPlan = z.infer<typeof clusterPlanSchema>;

/** The cgroup of the control plane and of the supervisor itself, and those of the nodes. */
export function cgroupOf(plan: Pick<ClusterPlan, 'name'>, part: string): string {
  return `${plan.name}/${part}`;
}
