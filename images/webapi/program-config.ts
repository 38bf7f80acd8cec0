import { z } from 'zod';
import { accountsSchema } from '../../lib/auth/accounts.ts';
import { nameserviceSchema } from '../../lib/shard/nameservice.ts';
import { webapiConfigSchema } from './config.ts';

const database = z.strictObject({
  /**
   * Host name, address, or directory of a unix socket. Absent: the database is where the primary of the shard is, which the
   * nameservice says.
   */
  host: z.string().min(1).optional(),
  port: z.int().min(1).max(65_535).default(5432),
  database: z.string().min(1),
  /** Holds the password of `user` on this server, where servers differ in it; re-read for every new connection. */
  passwordFile: z.string().min(1).optional(),
  /** Holds the password of `migrateUser`. Absent: somebody else brings the tables about. */
  migratePasswordFile: z.string().min(1).optional(),
});

const schema = z.strictObject({
  webapi: webapiConfigSchema,
  /** The region's etcd. Needed where a database has no host of its own. */
  nameservice: nameserviceSchema.optional(),
  /** Cache of accounts. */
  accounts: accountsSchema.prefault({}),
  databases: z.strictObject({
    /** The index shards, by the numbers that the ring knows them by. */
    shards: z.array(database.extend({ shard: z.int().positive() })).min(1),
    /** `shard`: which of the shards it is on; needed where it has no host of its own. */
    control: database.extend({ shard: z.int().positive().optional() }),
    user: z.string().min(1).default('manta_webapi'),
    /** The role that brings tables and functions about when the program starts. */
    migrateUser: z.string().min(1).default('manta_migrate'),
    /** Holds the password; re-read for every new connection. */
    passwordFile: z.string().min(1),
  }),
  regionKey: z.strictObject({
    /** Key id of the private key. */
    kid: z.string().min(1),
    /** PEM of the Ed25519 key that signs tokens between programs. */
    privateKeyFile: z.string().min(1),
    /** PEM files of the public keys that are accepted, by key id. */
    publicKeyFiles: z.record(z.string(), z.string()),
  }),
  /** Least severe level that is logged; the request record is `info`. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

/** The configuration file of webapi as a process of its own. Secrets are files beside it, never part of it. */
export const programConfigSchema = schema.superRefine(({ databases, nameservice }, context) => {
  const { control, shards } = databases;
  const moving = [...shards, control].filter(({ host }) => host === undefined);
  if (moving.length > 0 && nameservice === undefined) {
    context.addIssue({ code: 'custom', path: ['nameservice'], message: 'is needed: a database has no host' });
  }
  if (control.host === undefined && control.shard === undefined) {
    context.addIssue({ code: 'custom', path: ['databases', 'control'], message: 'needs a host or a shard' });
  }
});

/** The checked configuration. */
export type ProgramConfig = z.infer<typeof programConfigSchema>;

/**
 * Parses a configuration file's content. What differs from pod to pod may stand in the environment instead, as the downward
 * API puts it: `POD_NAME` for `webapi.serverName`.
 */
export function parseProgramConfig(file: unknown, env: Readonly<Record<string, string | undefined>>): ProgramConfig {
  const { POD_NAME: serverName } = env;
  if (serverName === undefined || serverName === '') return programConfigSchema.parse(file);
  const named = z.looseObject({ webapi: z.looseObject({}) }).parse(file);
  return programConfigSchema.parse({ ...named, webapi: { serverName, ...named.webapi } });
}
