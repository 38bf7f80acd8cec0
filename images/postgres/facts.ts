import { type Lsn, laterOf, lsn, parseLsn } from '../../lib/shard/lsn.ts';
import { ordinalOf } from '../../lib/shard/records.ts';
import { type ClusterState, chainOf, downstreamOf, type PeerRef, type Role, roleOf } from '../../lib/shard/state.ts';
import type { Answered, Endpoint, SenderView, Settings } from './server.ts';
import type { Failure, PeerView, Snapshot } from './snapshot.ts';
import { derivedTimes } from './times.ts';

/** What several rules ask of a snapshot. Everything here is pure. */

/** Names nobody: a server with this as its synchronous standby acknowledges nothing (§11.3). */
export const NOBODY = '_nobody_';

/** How long one attempt of a promotion lasts. */
export const PROMOTE_ATTEMPT_MS = 1_500;

/** Where this peer stands in the state that was read last. */
export function myRole(s: Snapshot): Role {
  return s.etcd.state === undefined ? 'none' : roleOf(s.etcd.state.value, s.me.id);
}

/** The state, when it names this peer primary. */
export function asPrimary(s: Snapshot): ClusterState | undefined {
  const state = s.etcd.state?.value;
  return state?.primary.id === s.me.id ? state : undefined;
}

/** The state, when it names this peer sync. */
export function asSync(s: Snapshot): (ClusterState & { readonly sync: PeerRef }) | undefined {
  const state = s.etcd.state?.value;
  return state?.sync?.id === s.me.id ? (state as ClusterState & { readonly sync: PeerRef }) : undefined;
}

/** What the running server answered last; undefined unless it is up. */
export function answered(s: Snapshot): Answered | undefined {
  return s.server.process.kind === 'up' ? s.server.answered : undefined;
}

/** The same, of a server that is out of recovery. */
export function answeredAsPrimary(s: Snapshot): (Answered & { readonly flushed: Lsn }) | undefined {
  const found = answered(s);
  if (found === undefined || found.inRecovery || found.flushed === undefined) return undefined;
  return { ...found, flushed: found.flushed };
}

/** The same, of a server in recovery. */
export function answeredAsStandby(s: Snapshot): Answered | undefined {
  const found = answered(s);
  return found?.inRecovery ? found : undefined;
}

/**
 * Whether the server has not answered for a second: what it is told it does not do, and what it said last makes its standbys
 * look silent.
 */
export function isMute(s: Snapshot): boolean {
  const { unansweredSince } = s.server;
  return unansweredSince !== undefined && s.now - unansweredSince >= s.times.healthMs;
}

/** Whether a job is running that the server's state depends on. */
export function isBusy(s: Snapshot): boolean {
  return s.job !== undefined && s.job.kind !== 'checkpoint';
}

export function isFrozen(s: Snapshot): boolean {
  return s.etcd.config?.value.freeze !== undefined;
}

/** Whether a peer is meant to be part of the shard. */
export function isConfigured(s: Snapshot, id: string): boolean {
  return !(ordinalOf(id) >= (s.etcd.config?.value.peers ?? Number.POSITIVE_INFINITY));
}

export function isTerminating(s: Snapshot): boolean {
  return s.terminatingSince !== undefined;
}

/** Whether this primary has given its role away, or is about to, and has not taken it back (§7.6, §7.7). */
export function isOffering(s: Snapshot): boolean {
  const { status } = s.evidence;
  return status === 'handoff' || status === 'handed-off' || status === 'abdicating';
}

/** Present, well, of this shard's database, and staying (§7, notation). */
export function isHealthy(s: Snapshot, id: string): boolean {
  const record = s.etcd.peers[id]?.value;
  if (record === undefined || !isConfigured(s, id)) return false;
  return record.health === 'ok' && record.status !== 'leaving' && record.systemId === s.etcd.state?.value.systemId;
}

/** Whether a failure of this kind lies so short a time back that it is not tried again yet. */
export function isTooSoon(s: Snapshot, kind: string, delaysMs: readonly number[]): boolean {
  const failure: Failure | undefined = s.failures[kind];
  if (failure === undefined) return false;
  return s.now - failure.lastAt < (delaysMs[Math.min(failure.count, delaysMs.length) - 1] ?? 0);
}

/** A sender has neither followed new settings nor ended in three attempts, more than five seconds (§7.4 J1). */
export function hasHungSender(s: Snapshot): boolean {
  return hasFailedLately(s, 'join-sync', 3) || hasFailedLately(s, 'declare-sync', 3);
}

/** For so long that it is given up (K6). */
export function hasFailedToPromote(s: Snapshot): boolean {
  return hasFailedLately(s, 'promote', Math.ceil(s.times.promoteTimeoutMs / PROMOTE_ATTEMPT_MS));
}

/** So many times in a row, and not long ago: what a process remembers of an earlier role says nothing. */
function hasFailedLately(s: Snapshot, kind: string, times: number): boolean {
  const failure = s.failures[kind];
  return failure !== undefined && failure.count >= times && s.now - failure.lastAt < 10_000;
}

/** The sender to a peer, on this server. */
export function senderTo(found: Answered, id: string): SenderView | undefined {
  return found.senders.find(sender => sender.name === id && sender.state === 'streaming');
}

/** End of the WAL of a standby (appendix B). */
export function standbyEnd(found: Answered): Lsn {
  return laterOf(found.received ?? lsn(0n), found.replayed ?? lsn(0n));
}

/** Where a peer's PostgreSQL listens: its record first, the state's copy when there is none (§5.2). */
export function endpointOf(s: Snapshot, peer: PeerRef): Endpoint {
  const url = new URL(s.etcd.peers[peer.id]?.value.pgUrl ?? peer.pgUrl);
  return { id: peer.id, host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 5432) };
}

/** How this peer appears in a state. */
export function myRef(s: Snapshot): PeerRef {
  const { id, pgUrl, sitterUrl, zone, node } = s.me;
  const incarnation = myIncarnation(s);
  return {
    id,
    incarnation,
    pgUrl,
    sitterUrl,
    ...(zone === undefined ? {} : { zone }),
    ...(node === undefined ? {} : { node }),
  };
}

/** How another peer appears in a state, by its own record. */
export function refOf(view: PeerView): PeerRef {
  const { id, incarnation, pgUrl, sitterUrl, zone, node } = view.value;
  return {
    id,
    incarnation,
    pgUrl,
    sitterUrl,
    ...(zone === undefined ? {} : { zone }),
    ...(node === undefined ? {} : { node }),
  };
}

/** The life of my data directory; null when there is none to be used. */
export function myIncarnation(s: Snapshot): string | null {
  return s.server.directory.kind === 'usable' ? s.server.directory.incarnation : null;
}

/** What a primary's settings are, but for what the rule at hand decides. */
export function primarySettings(s: Snapshot, wish: Pick<Settings, 'ssn' | 'readOnly' | 'gate'>): Settings {
  const state = s.etcd.state?.value;
  const isLast = state !== undefined && state.async.length === 0;
  return { ...commonSettings(s), role: 'primary', upstream: undefined, dumps: isLast && wish.gate === 'open', ...wish };
}

/**
 * What a standby's settings are. A sync names its successor's standby already, so that after a promotion it cannot
 * acknowledge alone for even a moment; everybody else names nobody (§11.3).
 */
export function standbySettings(s: Snapshot, upstream: Endpoint | undefined): Settings {
  const state = s.etcd.state?.value;
  const chain = state === undefined ? [] : chainOf(state);
  const next = state !== undefined && asSync(s) ? downstreamOf(state, s.me.id)?.id : undefined;
  const isLastAsync = chain.length > 2 && chain.at(-1)?.id === s.me.id;
  return {
    ...commonSettings(s),
    role: 'standby',
    ssn: [next ?? NOBODY],
    readOnly: true,
    gate: 'closed',
    upstream,
    dumps: isLastAsync,
  };
}

/** Receives from nobody and lets nobody in; once promoted it acknowledges with these alone. */
export function heldStandbySettings(s: Snapshot, ssn: readonly string[]): Settings {
  return { ...standbySettings(s, undefined), ssn, dumps: false };
}

function commonSettings(s: Snapshot): Pick<Settings, 'databases' | 'parameters'> {
  const config = s.etcd.config?.value;
  return { databases: config?.databases ?? [], parameters: config?.parameters ?? {} };
}

/** What SSN must be while the state stands as it is. */
export function ssnOf(state: ClusterState): readonly string[] {
  return state.sync === null ? [] : [state.sync.id];
}

export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, place) => name === b[place]);
}

/** Whether two wishes for PostgreSQL's configuration are the same. */
export function sameSettings(a: Settings, b: Settings): boolean {
  return JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
}

function canonical({ role, ssn, readOnly, gate, upstream, dumps, databases, parameters }: Settings): unknown {
  const address = upstream === undefined ? [] : [upstream.id, upstream.host, upstream.port];
  return [role, ssn, readOnly, gate, address, dumps, databases, Object.entries(parameters).sort()];
}

/** The password is away and so is the connection string: K2 has been done and not undone. */
export function isCut(s: Snapshot): boolean {
  return s.server.receiverPassword === 'empty';
}

/**
 * Whether the sync, as far as its answers show, could take over at once: it is in recovery on the right data, past initWal,
 * and its own standby streams from it (§7.7).
 */
export function canSyncTakeOver(s: Snapshot, state: ClusterState): boolean {
  if (state.sync === null || isFrozen(s)) return false;
  const answer = s.evidence.answers[state.sync.id];
  if (answer === undefined || s.now - answer.at >= derivedTimes(s.times).silenceMs) return false;
  const received = answer.received === null ? lsn(0n) : parseLsn(answer.received);
  return (
    answer.ready &&
    answer.incarnation !== null &&
    answer.incarnation === state.sync.incarnation &&
    answer.generation === state.generation &&
    answer.health === 'ok' &&
    !answer.terminating &&
    received >= parseLsn(state.initWal)
  );
}

/** Whether changes of roles need a person's word for now, and it has not been given. */
export function awaitsRequest(s: Snapshot): boolean {
  return s.etcd.config?.value.failover === 'manual' && !isSwitchoverRequested(s);
}

/** A switchover request that is about this generation and names nobody but the sync. */
export function isSwitchoverRequested(s: Snapshot): boolean {
  const state = s.etcd.state?.value;
  const request = s.etcd.requests.switchover;
  if (state === undefined || request === undefined || request.generation !== state.generation) return false;
  return request.peer === undefined || request.peer === state.sync?.id;
}
