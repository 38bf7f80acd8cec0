import { z } from 'zod';

/** One line of the list of accounts, as `/admin/v1` answers it: auth.md §13.9. */
export const accountSchema = z.object({
  uuid: z.string(),
  login: z.string(),
  approved: z.boolean(),
  groups: z.array(z.string()),
});

/** A key of an account. */
export const keySchema = z.object({ name: z.string(), algorithm: z.string(), md5Fingerprint: z.string() });

/** An account with its keys. */
export const detailsSchema = accountSchema.extend({ email: z.string(), keys: z.array(keySchema) });

/** Why a request was refused. */
export const refusalSchema = z.object({ code: z.string(), message: z.string() });

export type Account = z.infer<typeof accountSchema>;
export type AccountDetails = z.infer<typeof detailsSchema>;
export type Key = z.infer<typeof keySchema>;
