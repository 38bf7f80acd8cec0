import { z } from 'zod';
import { storageConfigSchema } from './config.ts';

/** The configuration file of a storage node as a process of its own. Secrets are files beside it, never part of it. */
export const programConfigSchema = z.strictObject({
  storage: storageConfigSchema,
  /** The region's name. */
  region: z.string().min(1),
  /** Where health and metrics are. Never exposed. */
  control: z
    .strictObject({
      /** Address to listen on. */
      host: z.string().default('0.0.0.0'),
      /** Port to listen on; 0 takes a free one. */
      port: z.int().min(0).max(65_535).default(9090),
    })
    .prefault({}),
  /** Holds the token of the first heartbeat; later ones come with the answers. */
  nodeTokenFile: z.string().min(1),
  /** PEM files of the region's public keys that are accepted, by key id. */
  publicKeyFiles: z.record(z.string(), z.string()),
  /** Least severe level that is logged. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

export type ProgramConfig = z.infer<typeof programConfigSchema>;

/**
 * Parses a configuration file's content. What differs from pod to pod may stand in the environment instead, as the downward
 * API puts it: `POD_IP` for the host of `storage.baseUrl`, where the file names a port, so that nobody who reads from this
 * node needs DNS, and `NODE_NAME` for `storage.computeId` and, where none is given, `storage.failureDomain`.
 */
export function parseProgramConfig(file: unknown, env: Readonly<Record<string, string | undefined>>): ProgramConfig {
  const given = z.looseObject({ storage: z.looseObject({ port: z.unknown().optional() }) }).parse(file);
  const { port } = given.storage;
  const { POD_IP: address = '', NODE_NAME: node = '' } = env;
  const host = address.includes(':') ? `[${address}]` : address;
  const pod = {
    ...(address === '' || port === undefined ? {} : { baseUrl: `http://${host}:${port}` }),
    ...(node === '' ? {} : { computeId: node, failureDomain: node }),
  };
  return programConfigSchema.parse({ ...given, storage: { ...pod, ...given.storage } });
}
