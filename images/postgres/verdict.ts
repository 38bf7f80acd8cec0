import type { PeerHealth } from '../../lib/shard/records.ts';
import { derivedTimes, type Times } from './times.ts';

/**
 * Detection (replication.md §4.4): what was seen of another peer, judged. It need only be quick and mostly right: a wrong
 * verdict costs one needless change of roles, never data. Times are monotonic milliseconds; `undefined` is "never".
 */

/** What a standby has seen of the primary since it began to watch it in this generation. */
export interface PrimaryEvidence {
  readonly watchedSince: number;
  /** The last heartbeat that was really the primary's. */
  readonly heardAt: number | undefined;
  /** The last sign of life on the replication stream. */
  readonly streamMovedAt: number | undefined;
  /** When the heartbeat or the replication connection was reset or closed, unless something was heard since. */
  readonly brokenAt: number | undefined;
  /** Probes in a row since `brokenAt` that were refused, unreachable, or answered by somebody else. */
  readonly refusals: number;
  /** What the other standby said: when it was asked, and for how long it had heard nothing; `null`: it gave no answer. */
  readonly neighbour: { readonly askedAt: number; readonly silentForMs: number | null } | undefined;
  /** Since when every read of etcd showed no key of the primary. */
  readonly absentSince: number | undefined;
  /** When the last successful read of etcd was sent. */
  readonly etcdReadAt: number | undefined;
}

export interface PrimaryVerdict {
  readonly kind: 'alive' | 'gone' | 'silent' | 'detached';
  /** Only `silent` needs confirmation: the others have theirs. */
  readonly isConfirmed: boolean;
}

const PROBES = 2;

export function judgePrimary(evidence: PrimaryEvidence, now: number, times: Times): PrimaryVerdict {
  const { silenceMs } = derivedTimes(times);
  if (evidence.brokenAt !== undefined && evidence.refusals >= PROBES) return { kind: 'gone', isConfirmed: true };
  const lastSign = Math.max(evidence.watchedSince, evidence.heardAt ?? 0, evidence.streamMovedAt ?? 0);
  const isSilent = now - lastSign >= silenceMs;
  if (isSilent && isSilenceConfirmed(evidence, lastSign, times)) return { kind: 'silent', isConfirmed: true };
  // Also of one that only the neighbour hears: cut off from etcd, it cannot replace the sync it has lost.
  if (evidence.absentSince !== undefined && now - evidence.absentSince >= times.detachedMs) {
    return { kind: 'detached', isConfirmed: true };
  }
  return isSilent ? { kind: 'silent', isConfirmed: false } : { kind: 'alive', isConfirmed: true };
}

/** A neighbour that hears the primary means that only the way between the primary and us is broken. */
function isSilenceConfirmed(evidence: PrimaryEvidence, lastSign: number, times: Times): boolean {
  const { neighbour } = evidence;
  const silenceBegan = lastSign + derivedTimes(times).silenceMs;
  if (neighbour === undefined || neighbour.askedAt < silenceBegan) return false;
  if (neighbour.silentForMs !== null) return neighbour.silentForMs >= derivedTimes(times).silenceMs;
  // Cut off from both: then etcd says which side of the cut we are on.
  return evidence.etcdReadAt !== undefined && evidence.etcdReadAt > lastSign;
}

/** What the primary has seen of its sync since it became that. */
export interface SyncEvidence {
  readonly watchedSince: number;
  /** The last answer to a heartbeat that was really the sync's. */
  readonly answeredAt: number | undefined;
  readonly answer:
    | { readonly incarnation: string | null; readonly health: PeerHealth; readonly terminating: boolean }
    | undefined;
  readonly brokenAt: number | undefined;
  readonly refusals: number;
  /** The last moment it had a sender, in whatever state. */
  readonly sentToAt: number | undefined;
  /** The last reply on its replication connection. */
  readonly repliedAt: number | undefined;
  /** When its flushed position last moved or equalled ours. */
  readonly flushMovedAt: number | undefined;
  readonly commitWaitingSince: number | undefined;
  readonly absentSince: number | undefined;
  readonly incarnation: string | null;
}

export interface SyncVerdict {
  readonly kind: 'fine' | 'gone' | 'silent' | 'lost' | 'stalled' | 'unfit' | 'detached';
}

export function judgeSync(evidence: SyncEvidence, now: number, times: Times): SyncVerdict {
  const since = (moment: number | undefined) => now - Math.max(moment ?? 0, evidence.watchedSince);
  const { silenceMs, recentReplyMs } = derivedTimes(times);
  if (evidence.brokenAt !== undefined && evidence.refusals >= PROBES) return { kind: 'gone' };
  const isWaitedFor = evidence.commitWaitingSince !== undefined;
  if (since(evidence.answeredAt) >= silenceMs && (isWaitedFor || since(evidence.repliedAt) >= recentReplyMs)) {
    return { kind: 'silent' };
  }
  // One that has not been there yet is still on its way: it has to follow this primary first (§7.8 step 4).
  const lostAfterMs = evidence.sentToAt === undefined ? times.syncStallMs : times.syncLostMs;
  if (since(evidence.sentToAt) >= lostAfterMs) return { kind: 'lost' };
  if (evidence.commitWaitingSince !== undefined && since(evidence.commitWaitingSince) >= times.syncStallMs) {
    if (since(evidence.flushMovedAt) >= times.syncStallMs) return { kind: 'stalled' };
  }
  const { answer } = evidence;
  if (
    answer !== undefined &&
    (answer.terminating || answer.health !== 'ok' || answer.incarnation !== evidence.incarnation)
  ) {
    return { kind: 'unfit' };
  }
  if (evidence.absentSince !== undefined && now - evidence.absentSince >= times.detachedMs) return { kind: 'detached' };
  return { kind: 'fine' };
}
