import { lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { ClusterState } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { answeredAsPrimary, asPrimary, isConfigured, isFrozen, isHealthy, primarySettings } from '../facts.ts';
import type { Answered } from '../server.ts';
import type { Snapshot } from '../snapshot.ts';

/** §7.4, J1. */
export const replaceSync: Rule = {
  name: 'replace-sync',
  why: 'the sync does not confirm, must not stay, or is missing',
  decide(s) {
    const state = asPrimary(s);
    const found = answeredAsPrimary(s);
    if (state === undefined || found === undefined || state.systemId === null) return undefined;
    if (s.evidence.status !== 'active') return undefined;
    const since = needsSyncSince(s, state);
    if (since === undefined) return undefined;
    const canDeclare = s.etcd.registered !== undefined && !isFrozen(s);
    const candidate = canDeclare ? chooseCandidate(s, state, s.now - since) : undefined;
    if (candidate !== undefined) {
      const old = state.sync === null ? [] : [state.sync.id];
      const settings = primarySettings(s, { ...gateOf(s), ssn: [candidate, ...old] });
      return { kind: 'join-sync', candidate, settings };
    }
    return state.sync === null ? undefined : refuseWrites(s, state, found);
  },
};

/** Since when there has been a reason to replace the sync. */
function needsSyncSince(s: Snapshot, state: ClusterState): number | undefined {
  if (state.sync === null) return (s.etcd.config?.value.peers ?? 1) > 1 ? 0 : undefined;
  const verdict = s.evidence.sync;
  if (verdict !== undefined && verdict.kind !== 'fine') return verdict.since;
  const request = s.etcd.requests.rebuild;
  if (request?.peer === state.sync.id && request.generation === state.generation) return 0;
  if (s.etcd.peers[state.sync.id]?.value.status === 'leaving') return 0;
  return isConfigured(s, state.sync.id) ? undefined : 0;
}

/** The first in the chain that is close; after some patience the one that is closest. */
function chooseCandidate(s: Snapshot, state: ClusterState, neededForMs: number): string | undefined {
  const flushed = answeredAsPrimary(s)?.flushed ?? lsn(0n);
  const healthy = state.async.filter(peer => peer.incarnation !== null && isHealthy(s, peer.id));
  const ranked = healthy.map(peer => ({ id: peer.id, received: receivedBy(s, peer.id) }));
  const close = ranked.find(({ received }) => flushed - received <= s.times.candidateLagBytes);
  if (close !== undefined) return close.id;
  if (neededForMs < s.times.candidateWaitMs) return undefined;
  return ranked.reduce<(typeof ranked)[number] | undefined>(
    (best, peer) => (best === undefined || peer.received > best.received ? peer : best),
    undefined,
  )?.id;
}

/** A hint, for the choice alone: what a peer has is proved when it confirms. */
function receivedBy(s: Snapshot, id: string) {
  const hint = s.evidence.answers[id]?.received ?? s.etcd.peers[id]?.value.walEnd ?? null;
  return hint === null ? lsn(0n) : parseLsn(hint);
}

/** Nobody can take the sync's place: new writes fail at once instead of hanging, reads go on. */
function refuseWrites(s: Snapshot, state: ClusterState, found: Answered) {
  const isStalled =
    found.commitWaitingSince !== undefined && s.now - found.commitWaitingSince >= s.times.stallReadOnlyMs;
  const { written } = s.server;
  if (isStalled && written !== undefined && !written.readOnly) {
    const settings = primarySettings(s, { ssn: written.ssn, readOnly: true, gate: written.gate });
    return { kind: 'configure', settings, why: 'NoCandidate: no commit can be confirmed' } as const;
  }
  return { kind: 'wait', why: `NoCandidate: nobody can take the place of ${state.sync?.id} now` } as const;
}

function gateOf(s: Snapshot): { readonly readOnly: boolean; readonly gate: 'open' | 'closed' } {
  const { written } = s.server;
  return { readOnly: written?.readOnly ?? true, gate: written?.gate ?? 'closed' };
}
