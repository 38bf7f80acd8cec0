import { lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Action } from '../action.ts';
import type { Rule } from '../decide.ts';
import {
  answeredAsPrimary,
  asPrimary,
  isConfigured,
  isFrozen,
  isHealthy,
  isMute,
  isOffering,
  primarySettings,
} from '../facts.ts';
import type { Answered } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';
import { derivedTimes } from '../times.ts';

/** §7.4, J1. */
export const replaceSync: Rule = {
  name: 'replace-sync',
  why: 'the sync does not confirm, must not stay, or is missing',
  decide(s) {
    const state = asPrimary(s);
    const found = answeredAsPrimary(s);
    if (state === undefined || found === undefined || state.systemId === null || isOffering(s)) return undefined;
    if (isMute(s)) return undefined;
    // On another timeline than the reserved one this server is no primary yet.
    if (found.timeline !== state.timeline) return undefined;
    const neededForMs = replacementDueFor(s, state);
    if (neededForMs === undefined) return undefined;
    const canDeclare = s.etcd.registered !== undefined && !isFrozen(s);
    const candidate = canDeclare ? chooseCandidate(s, state, neededForMs) : undefined;
    if (candidate !== undefined) {
      const old = state.sync === null ? [] : [state.sync.id];
      const settings = primarySettings(s, { ...gateOf(s), ssn: [candidate, ...old] });
      return { kind: 'join-sync', candidate, settings };
    }
    return state.sync === null ? undefined : refuseWrites(s, state, found);
  },
};

/** For how long there has been a reason to replace the sync: 0 where nothing presses, undefined where there is none. */
function replacementDueFor(s: Snapshot, state: ClusterState): number | undefined {
  const { sync } = state;
  if (sync === null) return (s.etcd.config?.value.peers ?? 1) > 1 ? 0 : undefined;
  const verdict = s.evidence.sync;
  if (verdict !== undefined && verdict.kind !== 'fine') {
    const dueForMs = s.now - verdict.since;
    // While nobody has been let in yet, a sync that is starting too gets its time (§7.8 step 4).
    const isOpening = s.server.written?.gate !== 'open' && verdict.kind !== 'gone';
    if (!isOpening || dueForMs >= s.times.syncStallMs) return dueForMs;
  }
  const request = s.etcd.requests.rebuild;
  if (request?.peer === sync.id && request.generation === state.generation) return 0;
  if (s.etcd.peers[sync.id]?.value.status === 'leaving') return 0;
  return isConfigured(s, sync.id) ? undefined : 0;
}

/** The first in the chain that is close; after some patience the one that is closest. */
function chooseCandidate(s: Snapshot, state: ClusterState, neededForMs: number): string | undefined {
  const flushed = answeredAsPrimary(s)?.flushed ?? lsn(0n);
  const able = state.async.filter(peer => peer.incarnation !== null && isHealthy(s, peer.id) && !isSilent(s, peer.id));
  const ranked = able.map(peer => ({ id: peer.id, received: receivedBy(s, peer.id) }));
  const close = ranked.find(({ received }) => flushed - received <= s.times.candidateLagBytes);
  if (close !== undefined) return close.id;
  if (neededForMs < s.times.candidateWaitMs) return undefined;
  return ranked.reduce<(typeof ranked)[number] | undefined>(
    (best, peer) => (best === undefined || peer.received > best.received ? peer : best),
    undefined,
  )?.id;
}

/** Its key outlives it by seconds; who has answered heartbeats and does so no more is not going to confirm anything. */
function isSilent(s: Snapshot, id: string): boolean {
  const answer = s.evidence.answers[id];
  return answer !== undefined && s.now - answer.at >= derivedTimes(s.times).silenceMs;
}

/** A hint, for the choice alone: what a peer has is proved when it confirms. */
function receivedBy(s: Snapshot, id: string) {
  const hint = s.evidence.answers[id]?.received ?? s.etcd.peers[id]?.value.walEnd ?? null;
  return hint === null ? lsn(0n) : parseLsn(hint);
}

/** Nobody can take the sync's place: new writes fail at once instead of hanging, and everything else goes on. */
function refuseWrites(s: Snapshot, state: ClusterState, found: Answered): Action {
  const isStalled =
    found.commitWaitingSince !== undefined && s.now - found.commitWaitingSince >= s.times.stallReadOnlyMs;
  const { written } = s.server;
  if (isStalled && written !== undefined && !written.readOnly) {
    const settings = primarySettings(s, { ssn: written.ssn, readOnly: true, gate: written.gate });
    return { kind: 'configure', settings, why: 'NoCandidate: no commit can be confirmed' };
  }
  return { kind: 'wait', why: `NoCandidate: nobody can take the place of ${state.sync?.id} now`, yields: true };
}

function gateOf(s: Snapshot): { readonly readOnly: boolean; readonly gate: 'open' | 'closed' } {
  const { written } = s.server;
  return { readOnly: written?.readOnly ?? true, gate: written?.gate ?? 'closed' };
}
