import { z } from 'zod';
import type { PeerReply } from './peer-call.ts';
import type { PrimaryEvidence } from './verdict.ts';

/** The answer to `GET /internal/v1/heard?primary=<id>`. */
export const heardSchema = z.looseObject({
  shard: z.int(),
  id: z.string(),
  primary: z.string(),
  /** For how long it has heard nothing of that peer. */
  silentForMs: z.number(),
});

/** What the other standby says of the primary. */
export interface Hearsay {
  /** Asks, at once and again and again, until told otherwise. Another question forgets the answer of the one before. */
  ask(neighbour: { readonly id: string; readonly sitterUrl: string } | undefined, primary: string): void;
  last(): PrimaryEvidence['neighbour'];
  close(): void;
}

/**
 * Confirms a silence (replication.md §4.4): whether the other standby hears the primary, of which this one hears nothing.
 * `onChange` is called with every answer.
 */
export function createHearsay(
  deps: {
    readonly now: () => number;
    readonly ask: (sitterUrl: string, path: string, deadlineMs: number) => Promise<PeerReply>;
  },
  config: { readonly shard: number; readonly everyMs: number; readonly deadlineMs: number },
  onChange: () => void,
): Hearsay {
  let asked:
    | { readonly key: string; timer: NodeJS.Timeout | undefined; last: PrimaryEvidence['neighbour'] }
    | undefined;

  async function question(
    neighbour: { readonly id: string; readonly sitterUrl: string },
    primary: string,
    run: NonNullable<typeof asked>,
  ): Promise<void> {
    const askedAt = deps.now();
    const path = `/internal/v1/heard?primary=${encodeURIComponent(primary)}`;
    const reply = await deps.ask(neighbour.sitterUrl, path, config.deadlineMs);
    if (asked !== run) return;
    const { data } = heardSchema.safeParse(reply.kind === 'answered' ? reply.body : undefined);
    const isTheirs = data?.shard === config.shard && data.id === neighbour.id && data.primary === primary;
    run.last = { askedAt, silentForMs: isTheirs ? data.silentForMs : null };
    run.timer = setTimeout(() => void question(neighbour, primary, run), config.everyMs);
    onChange();
  }

  return {
    ask(neighbour, primary) {
      const key = neighbour === undefined ? undefined : JSON.stringify([neighbour.id, neighbour.sitterUrl, primary]);
      if (asked?.key === key) return;
      clearTimeout(asked?.timer);
      asked = key === undefined ? undefined : { key, timer: undefined, last: undefined };
      if (neighbour !== undefined && asked !== undefined) void question(neighbour, primary, asked);
    },
    last: () => asked?.last,
    close() {
      clearTimeout(asked?.timer);
      asked = undefined;
    },
  };
}
