import type { Lsn } from '../../../lib/shard/lsn.ts';
import { createFollowing } from '../following.ts';
import type { SenderView } from '../server.ts';
import type { Look, LookedSender } from './look.ts';

/** What only several looks together show: when something last moved. */
export interface Movement {
  readonly senders: readonly SenderView[];
  readonly commitWaitingSince: number | undefined;
  readonly streamMovedAt: number | undefined;
  readonly replayMovedAt: number | undefined;
  readonly followedAt: number | undefined;
}

/**
 * Compares each look with the one before. `take` is given the look and when its query was sent.
 *
 * A change seen now happened at any moment since the look before. For replies and messages, by which others prove that
 * they still held to this server, that earlier moment counts: a process that was frozen in between must not take an old
 * reply for a new one. For lag it is the later one: whoever moves at all between two looks is not standing still.
 */
export function createMovement(): { take(look: Look, at: number): Movement; forget(): void } {
  let before: { readonly look: Look; readonly at: number } | undefined;
  let senders: readonly (SenderView & Pick<LookedSender, 'startedAt'>)[] = [];
  let waiting = new Map<string, number>();
  let streamMovedAt: number | undefined;
  let replayMovedAt: number | undefined;
  const following = createFollowing();

  function senderView(now: LookedSender, primaryEnd: Lsn | undefined, at: number) {
    const old = senders.find(sender => sender.pid === now.pid && sender.startedAt === now.startedAt);
    const replied =
      now.replyTime !== undefined &&
      (old === undefined ? before !== undefined : old.replyTime !== now.replyTime || old.flushed !== now.flushed);
    const flushMoved = now.flushed !== undefined && (now.flushed === primaryEnd || now.flushed !== old?.flushed);
    return {
      ...now,
      repliedAt: replied && before !== undefined ? before.at : (old?.repliedAt ?? Number.NEGATIVE_INFINITY),
      flushMovedAt: flushMoved ? at : (old?.flushMovedAt ?? at),
    };
  }

  return {
    take(look, at) {
      senders = look.senders.map(sender => senderView(sender, look.flushed ?? look.received, at));
      waiting = new Map(look.commitsWaiting.map(commit => [commit, waiting.get(commit) ?? at]));
      const receiver = look.receiver;
      const isNew = before === undefined || receiver?.lastMessage !== before.look.receiver?.lastMessage;
      if (receiver?.lastMessage !== undefined && isNew) streamMovedAt = before?.at ?? at;
      if (!look.inRecovery) streamMovedAt = undefined;
      const replayed = look.replayed !== before?.look.replayed || look.replayed === look.received;
      replayMovedAt = !look.inRecovery ? undefined : replayed ? at : (replayMovedAt ?? at);
      const stream = receiver?.status === 'streaming' ? String(receiver.pid) : undefined;
      const followedAt = look.inRecovery ? following.take(stream, look.replayed, at) : undefined;
      before = { look, at };
      const since = [...waiting.values()];
      return {
        senders,
        commitWaitingSince: since.length === 0 ? undefined : Math.min(...since),
        streamMovedAt,
        replayMovedAt,
        followedAt,
      };
    },
    forget() {
      before = undefined;
      senders = [];
      waiting = new Map();
      streamMovedAt = undefined;
      replayMovedAt = undefined;
      following.forget();
    },
  };
}
