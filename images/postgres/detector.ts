import { type ClusterState, downstreamOf, type PeerRef } from '../../lib/shard/state.ts';
import { senderTo } from './facts.ts';
import type { Hearsay } from './hearsay.ts';
import type { HeartbeatReceiver } from './heartbeat-receiver.ts';
import type { HeartbeatSender } from './heartbeat-sender.ts';
import type { Prober, ProbeTarget } from './prober.ts';
import type { Answered } from './server.ts';
import type { EtcdView, Evidence, HeartbeatAnswer } from './snapshot.ts';
import { derivedTimes, type Times } from './times.ts';
import {
  judgePrimary,
  judgeSync,
  type PrimaryEvidence,
  type PrimaryVerdict,
  type SyncEvidence,
  type SyncVerdict,
} from './verdict.ts';

/** What the detector contributes to a snapshot. */
export type Detected = Pick<Evidence, 'primary' | 'sync' | 'answers' | 'heartbeat' | 'freshAt'>;

/** The parts it directs and reads. */
export interface DetectorDeps {
  readonly receiver: Pick<HeartbeatReceiver, 'heard'>;
  readonly sender: Pick<HeartbeatSender, 'setTargets' | 'answers'>;
  readonly prober: Prober;
  readonly hearsay: Hearsay;
}

export interface Detector {
  /**
   * Judges by what has been seen until now, and sees to it that what is still missing for a verdict is asked for.
   * `answered`: of this peer's server while it is up.
   */
  observe(etcd: EtcdView, answered: Answered | undefined, now: number): Detected;
}

/** A peer that is watched, since a moment and as what the state says it is. */
interface Watch {
  readonly key: string;
  readonly since: number;
}

/** Gathers the evidence of replication.md §4.4 and the proofs of §9.2 for one peer. */
export function createDetector(
  { receiver, sender, prober, hearsay }: DetectorDeps,
  me: string,
  times: Times,
): Detector {
  const { silenceMs } = derivedTimes(times);
  const primaryWatch = createWatch();
  const syncWatch = createWatch();
  const primaryVerdict = createSince<PrimaryVerdict>();
  const syncVerdict = createSince<SyncVerdict>();
  const stream = createStreamWatch();
  const replies = createReplyMemory();
  let freshAt: number | undefined;

  function observePrimary(state: ClusterState, etcd: EtcdView, answered: Answered | undefined, now: number) {
    const { primary } = state;
    const isSync = state.sync?.id === me;
    const watch = primaryWatch(`${state.generation} ${primary.id} ${isSync}`, now);
    const { last, brokenAt: heartbeatBrokenAt } = receiver.heard(primary.id);
    const isTheirs = last !== undefined && fits(primary, last.incarnation);
    const heardAt = isTheirs ? last.at : undefined;
    // The next one in the chain receives from the sync: its stream says nothing of the primary.
    const { movedAt, lostAt } = isSync ? stream(watch.key, answered, now) : {};
    const breaks = [heartbeatBrokenAt, lostAt, isTheirs ? undefined : last?.at]
      .filter(at => at !== undefined)
      .filter(at => at >= (heardAt ?? 0));
    const brokenAt = breaks.length === 0 ? undefined : Math.min(...breaks);
    prober.watch(brokenAt === undefined ? undefined : targetOf(primary, etcd));

    const lastSign = Math.max(watch.since, heardAt ?? 0, movedAt ?? 0);
    const neighbour = isSync ? downstreamOf(state, me) : state.sync;
    const isSilent = now - lastSign >= silenceMs;
    hearsay.ask(isSilent && neighbour ? targetOf(neighbour, etcd) : undefined, primary.id);

    const evidence: PrimaryEvidence = {
      watchedSince: watch.since,
      heardAt,
      streamMovedAt: movedAt,
      brokenAt,
      refusals: prober.refusals(),
      neighbour: hearsay.last(),
      absentSince: absentSince(etcd, primary.id, now),
      etcdReadAt: etcd.readAt,
    };
    return {
      heartbeat: isTheirs ? last : undefined,
      verdict: primaryVerdict(watch.key, judgePrimary(evidence, now, times), now),
    };
  }

  function observeSync(
    state: ClusterState,
    sync: PeerRef,
    etcd: EtcdView,
    answered: Answered | undefined,
    now: number,
  ) {
    const { last, brokenAt } = sender.answers(sync.id);
    prober.watch(brokenAt === undefined ? undefined : targetOf(sync, etcd));
    if (answered === undefined || answered.inRecovery) {
      // Until its own server serves, a primary cannot say what its sync does; and then it has to look anew.
      syncWatch(undefined, now);
      replies.forget();
      return undefined;
    }
    const watch = syncWatch(`${state.generation} ${sync.id}`, now);
    const { sentToAt, repliedAt, flushMovedAt } = replies.of(watch.key, sync.id, answered);
    const isTheirs = last !== undefined && fits(sync, last.incarnation);
    // What it answered before it became the sync is older than what made it the candidate.
    const isNew = last !== undefined && last.at > watch.since;
    const evidence: SyncEvidence = {
      watchedSince: watch.since,
      answeredAt: isTheirs ? last.at : undefined,
      answer: isNew ? last : undefined,
      brokenAt,
      refusals: prober.refusals(),
      sentToAt,
      repliedAt,
      flushMovedAt,
      commitWaitingSince: answered.commitWaitingSince,
      absentSince: absentSince(etcd, sync.id, now),
      // Its first data directory is one that the state does not know yet.
      incarnation: sync.incarnation ?? last?.incarnation ?? null,
    };
    return syncVerdict(watch.key, judgeSync(evidence, now, times), now);
  }

  /** A read of etcd older than this says nothing of the time since. */
  function absentSince(etcd: EtcdView, id: string, now: number): number | undefined {
    const isCurrent = etcd.readAt !== undefined && now - etcd.readAt < times.leaseMs;
    return isCurrent ? etcd.absentSince[id] : undefined;
  }

  /**
   * Proofs that nobody has superseded this primary (§9.2): a read of the state, or a reply of its sync. Where the state does
   * not say who that is, because it was lost or restored from a backup, the settings in force do (§6.8).
   */
  function proveFresh(state: ClusterState | undefined, etcd: EtcdView, answered: Answered | undefined) {
    const isPrimary = state?.primary.id === me;
    const serves = answered !== undefined && !answered.inRecovery;
    if (!isPrimary && !serves) return undefined;
    const named = answered?.ssn.length === 1 ? answered.ssn[0] : undefined;
    const sync = isPrimary ? state.sync?.id : named;
    const reply = serves && sync !== undefined ? senderTo(answered, sync)?.repliedAt : undefined;
    return Math.max(freshAt ?? 0, isPrimary ? (etcd.readAt ?? 0) : 0, reply ?? 0);
  }

  function idle(): void {
    prober.watch(undefined);
    hearsay.ask(undefined, '');
  }

  return {
    observe(etcd, answered, now) {
      const state = etcd.state?.value;
      const isPrimary = state?.primary.id === me;
      const standbys = isPrimary
        ? [state.sync, state.async[0]].filter(peer => peer !== null && peer !== undefined)
        : [];
      sender.setTargets(standbys.map(peer => targetOf(peer, etcd)));
      const answers: Record<string, HeartbeatAnswer> = {};
      for (const { id } of standbys) {
        const { last } = sender.answers(id);
        if (last !== undefined) answers[id] = last;
      }
      freshAt = proveFresh(state, etcd, answered);

      const nothing = { primary: undefined, sync: undefined, answers, heartbeat: undefined, freshAt };
      if (state === undefined) {
        idle();
        return nothing;
      }
      if (isPrimary) {
        hearsay.ask(undefined, '');
        if (state.sync !== null) return { ...nothing, sync: observeSync(state, state.sync, etcd, answered, now) };
        idle();
        return nothing;
      }
      if (state.sync?.id !== me && state.async[0]?.id !== me) {
        idle();
        return nothing;
      }
      const { verdict, heartbeat } = observePrimary(state, etcd, answered, now);
      return { ...nothing, primary: verdict, heartbeat };
    },
  };
}

/** Null: the state does not know it yet. */
function fits(peer: PeerRef, incarnation: string | null): boolean {
  return peer.incarnation === null || peer.incarnation === incarnation;
}

/** Addresses are the record's; the state's when there is no record (§5.2). */
function targetOf(peer: PeerRef, etcd: EtcdView): ProbeTarget {
  const sitterUrl = etcd.peers[peer.id]?.value.sitterUrl ?? peer.sitterUrl;
  return { id: peer.id, incarnation: peer.incarnation, sitterUrl };
}

/** Since when something has been what it is. */
function createWatch(): (key: string | undefined, now: number) => Watch {
  let watch: Watch | undefined;
  return (key, now) => {
    if (watch === undefined || watch.key !== key) watch = { key: key ?? '', since: now };
    return watch;
  };
}

/** Since when a verdict has been of its kind. */
function createSince<Verdict extends { readonly kind: string }>() {
  let current: { readonly key: string; readonly kind: string; readonly since: number } | undefined;
  return (key: string, verdict: Verdict, now: number): Verdict & { readonly since: number } => {
    if (current === undefined || current.key !== key || current.kind !== verdict.kind) {
      current = { key, kind: verdict.kind, since: now };
    }
    return { ...verdict, since: current.since };
  };
}

/** When the stream from the primary last showed life, and when it was lost, unless it has been there again. */
function createStreamWatch() {
  let key: string | undefined;
  let wasStreaming = false;
  let lostAt: number | undefined;
  return (current: string, answered: Answered | undefined, now: number) => {
    if (key !== current) {
      key = current;
      wasStreaming = false;
      lostAt = undefined;
    }
    // While its own server does not answer, a standby sees no stream, which is not the primary's doing.
    if (answered !== undefined) {
      if (answered.isStreaming) lostAt = undefined;
      else if (wasStreaming) lostAt = now;
      wasStreaming = answered.isStreaming;
    }
    return { movedAt: answered?.streamMovedAt, lostAt };
  };
}

interface Replies {
  readonly sentToAt: number | undefined;
  readonly repliedAt: number | undefined;
  readonly flushMovedAt: number | undefined;
}

/** What the sender to the sync last showed: its row vanishes with it. */
function createReplyMemory() {
  const nothing: Replies = { sentToAt: undefined, repliedAt: undefined, flushMovedAt: undefined };
  let key: string | undefined;
  let last = nothing;
  return {
    of(current: string, sync: string, answered: Answered): Replies {
      if (key !== current) last = nothing;
      key = current;
      const row = answered.senders.find(({ name }) => name === sync);
      if (row !== undefined) last = { sentToAt: answered.at, repliedAt: row.repliedAt, flushMovedAt: row.flushMovedAt };
      return last;
    },
    forget() {
      key = undefined;
    },
  };
}
