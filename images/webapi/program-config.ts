import { z } from 'zod';
import { accountsSchema } from '../../lib/auth/accounts.ts';
import { webapiConfigSchema } from './config.ts';

const database = z.strictObject({
  /** Host name, address, or directory of a unix socket. */
  host: z.string().min(1),
  port: z.int().min(1).max(65_535).default(5432),
  database: z.string().min(1),
});

/** The configuration file of webapi as a process of its own. Secrets are files beside it, never part of it. */
export const programConfigSchema = z.strictObject({
  webapi: webapiConfigSchema,
  /** Cache of accounts. */
  accounts: accountsSchema.prefault({}),
  databases: z.strictObject({
    /** The index shards, by the numbers that the ring knows them by. */
    shards: z.array(database.extend({ shard: z.int().positive() })).min(1),
    control: database,
    user: z.string().min(1).default('manta_webapi'),
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

export type ProgramConfig = z.infer<typeof programConfigSchema>;
