import { formatLsn } from '../../lib/shard/lsn.ts';
import { answered, standbyEnd } from './facts.ts';
import { healthOf } from './health.ts';
import type { HeartbeatAnswerLine, HeartbeatLine } from './heartbeat-line.ts';
import { attachedCandidate } from './rules/take-over.ts';
import type { LocalRecord, Me, Snapshot } from './snapshot.ts';

/** Who speaks. */
export type Identity = Pick<HeartbeatLine, 'shard' | 'id' | 'incarnation' | 'session'>;

export function identityOf(me: Me, { shard, incarnation }: LocalRecord): Identity {
  return { shard, id: me.id, incarnation, session: me.session };
}

/** The next line of a primary (replication.md §4.4). Before the first snapshot there is none to describe. */
export function heartbeatOf(identity: Identity, s: Snapshot | undefined, n: number, now: number): HeartbeatLine {
  const flushed = s === undefined ? undefined : answered(s)?.flushed;
  const readAt = s?.etcd.readAt;
  return {
    ...identity,
    generation: generationOf(s),
    n,
    status: s?.evidence.status ?? 'active',
    terminating: s?.terminatingSince !== undefined,
    flush: flushed === undefined ? null : formatLsn(flushed),
    etcdAgeMs: readAt === undefined ? null : Math.round(now - readAt),
  };
}

/** What a standby answers to line `n`. */
export function answerOf(identity: Identity, s: Snapshot | undefined, n: number): HeartbeatAnswerLine {
  const found = s === undefined ? undefined : answered(s);
  return {
    ...identity,
    generation: generationOf(s),
    n,
    received: found?.inRecovery ? formatLsn(standbyEnd(found)) : null,
    replayed: found?.replayed === undefined ? null : formatLsn(found.replayed),
    health: s === undefined ? 'starting' : healthOf(s),
    terminating: s?.terminatingSince !== undefined,
    ready: s !== undefined && isReady(s),
  };
}

/** In recovery, and its own standby streams from it: able to take over. */
function isReady(s: Snapshot): boolean {
  const state = s.etcd.state?.value;
  return state !== undefined && attachedCandidate(s, state) !== undefined;
}

function generationOf(s: Snapshot | undefined): number {
  return s?.etcd.state?.value.generation ?? 0;
}
