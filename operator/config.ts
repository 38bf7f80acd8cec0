import { z } from 'zod';

/** What the operator is told about its release. Everything about the region is in the MantaRegion. */
export const operatorConfigSchema = z.strictObject({
  /** The namespace of the region that it runs. */
  namespace: z.string().min(1),
  /** Where the programs of regions come from that say nothing else. */
  images: z.strictObject({
    /** Registry and path before the names of the programs. */
    registry: z.string().min(1),
    /** Tag: the operator's own version. */
    version: z.string().min(1),
  }),
  networkPolicies: z
    .strictObject({
      /** False leaves all traffic open. */
      enabled: z.boolean().default(true),
      /** Addresses of the API servers. None: any address, because a policy cannot name them. */
      apiServerCIDRs: z.array(z.string().min(1)).default([]),
      /** Who may read metrics from control ports, as peers of a NetworkPolicy. */
      metricsFrom: z.array(z.looseObject({})).default([]),
    })
    .prefault({}),
  /** Priority class of a region's pods; empty: the cluster's default. */
  priorityClass: z.string().default('manta-critical'),
  /** The internal listener: health, metrics. */
  control: z
    .strictObject({
      host: z.string().min(1).default('0.0.0.0'),
      /** 0 takes a free one. */
      port: z.int().min(0).max(65_535).default(9090),
    })
    .prefault({}),
  /** Only one of several operators acts: by this Lease. False: this process is alone. */
  leaderElection: z.boolean().default(true),
  /** Milliseconds that running reconciles get at stop. */
  drainMs: z.int().positive().default(10_000),
  /** Least severe level that is logged. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

/** The checked configuration. */
export type OperatorConfig = z.infer<typeof operatorConfigSchema>;
