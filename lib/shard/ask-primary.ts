import { z } from 'zod';

/** What a sitter says of its PostgreSQL as a primary: `GET /internal/v1/primary` (replication.md §9.2). */
export const primaryAnswerSchema = z.looseObject({
  id: z.string(),
  incarnation: z.string().nullable(),
  generation: z.int(),
  /** Milliseconds for which it is still proved that nobody has superseded it. */
  freshForMs: z.number(),
});
export type PrimaryAnswer = Readonly<z.infer<typeof primaryAnswerSchema>>;

/** Asks the sitter at an URL. Throws when there is no answer of the right form, and with the signal's reason on abort. */
export type AskPrimary = (sitterUrl: string, signal: AbortSignal) => Promise<PrimaryAnswer>;

/** Asks over HTTP. */
export function createAskPrimary(deps: { readonly fetch: typeof fetch }): AskPrimary {
  return async (sitterUrl, signal) => {
    const answer = await deps.fetch(new URL('/internal/v1/primary', sitterUrl), { signal, redirect: 'error' });
    if (!answer.ok) {
      await answer.body?.cancel();
      throw new Error(`the sitter answered ${answer.status}`);
    }
    return primaryAnswerSchema.parse(await answer.json());
  };
}
