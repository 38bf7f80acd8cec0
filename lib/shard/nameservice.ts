import type { Logger } from 'pino';
import { z } from 'zod';
import type { Coordinator } from '../coordinator/coordinator.ts';
import { createEtcdCoordinator, type EtcdConfig } from '../coordinator/etcd.ts';
import type { Clock } from '../lifecycle/clock.ts';

/** How a program reaches the region's etcd, in its configuration file. */
export const nameserviceSchema = z
  .strictObject({
    /** URLs of the members, `https://host:2379`. */
    endpoints: z.array(z.url({ protocol: /^https?$/ })).min(1),
    /** What all keys of the region begin with. */
    root: z
      .string()
      .regex(/^\/.*[^/]$/, 'begins with a slash and does not end with one')
      .default('/manta'),
    /** The user `resolver` of replication.md §6.7; absent where etcd asks for none. */
    username: z.string().min(1).optional(),
    /** Holds the password; re-read for every new token. */
    passwordFile: z.string().min(1).optional(),
    /** PEM file of the authority that signed the members' certificates; needed with https. */
    ca: z.string().min(1).optional(),
  })
  .refine(({ username, passwordFile }) => (username === undefined) === (passwordFile === undefined), {
    error: 'username and passwordFile belong together',
  });
export type NameserviceConfig = z.infer<typeof nameserviceSchema>;

/** A client of that etcd. `readFile` throws when there is no such file. */
export function connectNameservice(
  deps: { readonly logger: Logger; readonly clock: Clock; readonly readFile: (path: string) => Buffer },
  config: NameserviceConfig,
): Coordinator {
  const { endpoints, username, passwordFile, ca } = config;
  const etcd: EtcdConfig = {
    endpoints,
    ...(ca === undefined ? {} : { tls: { root: deps.readFile(ca) } }),
    ...(username === undefined || passwordFile === undefined
      ? {}
      : { credentials: async () => ({ username, password: deps.readFile(passwordFile).toString('utf8').trim() }) }),
  };
  return createEtcdCoordinator(deps, etcd);
}
