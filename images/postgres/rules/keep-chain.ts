import type { Cause, ClusterState, PeerRef } from '../../../lib/shard/state.ts';
import { chainOf } from '../../../lib/shard/state.ts';
import type { Rule } from '../decide.ts';
import { answeredAsPrimary, asPrimary, isConfigured, isOffering, refOf } from '../facts.ts';
import type { PeerView, Snapshot } from '../snapshot.ts';

/** §7.10, last item, and §7.9 step 7: what changes within a generation. */
export const keepChain: Rule = {
  name: 'keep-chain',
  why: 'the state lists those that are there, where they are, and in which life',
  decide(s) {
    const state = asPrimary(s);
    if (state === undefined || state.systemId === null || answeredAsPrimary(s) === undefined) return undefined;
    if (s.etcd.registered === undefined || isOffering(s)) return undefined;
    const step = [dropAbsent, dropDeposed, takeBack, append, refresh].map(part => part(s, state)).find(Boolean);
    if (step === undefined) return undefined;
    const { cause, ...change } = step;
    return { kind: 'write-state', next: { ...state, ...change, seq: state.seq + 1, cause, writer: s.me.id } };
  },
};

type Step = Partial<ClusterState> & { readonly cause: Cause };

function dropAbsent(s: Snapshot, state: ClusterState): Step | undefined {
  const stays = (peer: PeerRef) => {
    const absentSince = s.etcd.absentSince[peer.id];
    const isAbsent = absentSince !== undefined && s.now - absentSince >= s.times.asyncAbsentMs;
    return !isAbsent && isConfigured(s, peer.id);
  };
  const async = state.async.filter(stays);
  return async.length < state.async.length ? { cause: 'async-removed', async } : undefined;
}

function dropDeposed(s: Snapshot, state: ClusterState): Step | undefined {
  const deposed = state.deposed.filter(peer => isConfigured(s, peer.id));
  return deposed.length < state.deposed.length ? { cause: 'deposed-removed', deposed } : undefined;
}

function takeBack(s: Snapshot, state: ClusterState): Step | undefined {
  const back = state.deposed.find(peer => isReady(s.etcd.peers[peer.id], state));
  const view = back && s.etcd.peers[back.id];
  if (back === undefined || view === undefined) return undefined;
  return {
    cause: 'rejoined',
    deposed: state.deposed.filter(peer => peer.id !== back.id),
    async: [...state.async, refOf(view)],
  };
}

function append(s: Snapshot, state: ClusterState): Step | undefined {
  const known = new Set([...chainOf(state), ...state.deposed].map(peer => peer.id));
  const found = Object.values(s.etcd.peers).find(
    view => !known.has(view.value.id) && isConfigured(s, view.value.id) && isReady(view, state),
  );
  return found === undefined ? undefined : { cause: 'async-added', async: [...state.async, refOf(found)] };
}

/** It streams from the chain already, as it is now: what it said in an earlier generation says nothing of this one. */
function isReady(view: PeerView | undefined, state: ClusterState): boolean {
  if (view === undefined || view.value.systemId !== state.systemId) return false;
  return view.value.status === 'rejoin-ready' && view.value.statusGeneration === state.generation;
}

/**
 * Addresses of all, and the lives of asyncs. The life of the sync is written once, while nobody has been let in: later it
 * is what makes a replaced volume not eligible (§5.2).
 */
function refresh(s: Snapshot, state: ClusterState): Step | undefined {
  const renew = (peer: PeerRef, keepsLife: boolean): PeerRef => {
    const view = s.etcd.peers[peer.id];
    if (view === undefined) return peer;
    const now = refOf(view);
    const next = { ...peer, ...now, incarnation: keepsLife ? peer.incarnation : now.incarnation };
    return JSON.stringify(next) === JSON.stringify(peer) ? peer : next;
  };
  const isClosed = s.server.written?.gate !== 'open';
  const primary = renew(state.primary, true);
  const sync = state.sync && renew(state.sync, !(state.sync.incarnation === null && isClosed));
  const async = state.async.map(peer => renew(peer, false));
  const isSame =
    primary === state.primary && sync === state.sync && async.every((peer, place) => peer === state.async[place]);
  return isSame ? undefined : { cause: 'address', primary, sync, async };
}
