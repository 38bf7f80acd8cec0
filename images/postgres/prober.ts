import { z } from 'zod';
import type { PeerReply } from './peer-call.ts';

/** The answer to `GET /internal/v1/ping`. */
export const pingSchema = z.looseObject({
  shard: z.int(),
  id: z.string(),
  incarnation: z.string().nullable(),
});

/** Whose sitter is probed, and where. A null incarnation is not known yet and fits any. */
export interface ProbeTarget {
  readonly id: string;
  readonly incarnation: string | null;
  readonly sitterUrl: string;
}

export interface Prober {
  /**
   * Probes this peer, at once and again and again, until told otherwise. Another target, or none, forgets what was
   * counted; the same one goes on.
   */
  watch(target: ProbeTarget | undefined): void;
  /** Probes in a row that were refused, unreachable, or answered by somebody else. */
  refusals(): number;
  close(): void;
}

/** After two refusals the verdict stands (replication.md §4.4): no need to hurry any more. */
const ENOUGH = 2;

/** Probes a sitter's port after a connection to it broke. `onChange` is called when the count changes. */
export function createProber(
  deps: { readonly ask: (sitterUrl: string, path: string, deadlineMs: number) => Promise<PeerReply> },
  config: {
    readonly shard: number;
    readonly everyMs: number;
    /** Between probes once the verdict stands, and while the peer answers. */
    readonly slowlyMs: number;
    readonly deadlineMs: number;
  },
  onChange: () => void,
): Prober {
  let watched: { readonly key: string; timer: NodeJS.Timeout | undefined; refusals: number } | undefined;

  async function probe(target: ProbeTarget, run: NonNullable<typeof watched>): Promise<void> {
    const reply = await deps.ask(target.sitterUrl, '/internal/v1/ping', config.deadlineMs);
    if (watched !== run) return;
    const before = run.refusals;
    const isRefused = reply.kind === 'refused' || (reply.kind === 'answered' && !isFrom(target, reply.body));
    run.refusals = isRefused ? before + 1 : 0;
    const isUrgent = isRefused && run.refusals < ENOUGH;
    run.timer = setTimeout(() => void probe(target, run), isUrgent ? config.everyMs : config.slowlyMs);
    if (run.refusals !== before) onChange();
  }

  function isFrom(target: ProbeTarget, body: unknown): boolean {
    const { data } = pingSchema.safeParse(body);
    if (data === undefined || data.shard !== config.shard || data.id !== target.id) return false;
    return target.incarnation === null || data.incarnation === target.incarnation;
  }

  return {
    watch(target) {
      const key = target === undefined ? undefined : JSON.stringify([target.id, target.incarnation, target.sitterUrl]);
      if (watched?.key === key) return;
      clearTimeout(watched?.timer);
      watched = key === undefined ? undefined : { key, timer: undefined, refusals: 0 };
      if (target !== undefined && watched !== undefined) void probe(target, watched);
    },
    refusals: () => watched?.refusals ?? 0,
    close() {
      clearTimeout(watched?.timer);
      watched = undefined;
    },
  };
}
