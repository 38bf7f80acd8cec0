import type { Lsn } from '../../lib/shard/lsn.ts';

/** A receiver that lives this long is not one of a standby that cannot follow: that one comes back at once each time. */
const STEADY_MS = 1_000;

/** When a standby was last seen to follow its upstream, by looks at it. */
export interface Following {
  /** `stream`: names the receiver that streams now. The monotonic time of the last look that showed it follow. */
  take(stream: string | undefined, replayed: Lsn | undefined, at: number): number | undefined;
  forget(): void;
}

/**
 * A standby beyond a fork of its upstream's timeline streams too: from the beginning of a WAL file to the fork, over and
 * over, a moment each time. It replays nothing by it, and no receiver of it lasts (replication.md §7.9).
 */
export function createFollowing(): Following {
  let last: number | undefined;
  let position: Lsn | undefined;
  let receiver: { readonly stream: string; readonly since: number } | undefined;
  return {
    take(stream, replayed, at) {
      if (stream === undefined) receiver = undefined;
      else if (receiver?.stream !== stream) receiver = { stream, since: at };
      const isSteady = receiver !== undefined && at - receiver.since >= STEADY_MS;
      if (isSteady || (replayed !== undefined && replayed !== position)) last = at;
      position = replayed;
      return last;
    },
    forget() {
      last = undefined;
      position = undefined;
      receiver = undefined;
    },
  };
}
