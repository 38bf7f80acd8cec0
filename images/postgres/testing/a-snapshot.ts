import { type Lsn, lsn, parseLsn } from '../../../lib/shard/lsn.ts';
import type { PeerRecord, PeerStatus, Requests, ShardConfig } from '../../../lib/shard/records.ts';
import { type ClusterState, chainOf, type PeerRef, upstreamOf } from '../../../lib/shard/state.ts';
import { endpointOf, primarySettings, ssnOf, standbySettings } from '../facts.ts';
import type { Answered, DirectoryView, Endpoint, SenderView, ServerView, Settings } from '../server.ts';
import type { EtcdView, Evidence, HeartbeatAnswer, LocalRecord, PeerView, Snapshot } from '../snapshot.ts';
import { defaultTimes } from '../times.ts';
import type { PrimaryVerdict, SyncVerdict } from '../verdict.ts';

/** When every snapshot of a test is taken, monotonic milliseconds. */
export const NOW = 1_000_000;
export const SYSTEM_ID = '7300000000000000001';
/** What everybody holds, in text and as a position. */
export const END = '0/5000000';
export const END_LSN = parseLsn(END);

/** Beyond, or short of, what everybody holds. */
export function end(bytesMore: number): Lsn {
  return lsn(END_LSN + BigInt(bytesMore));
}

type UsableDirectory = Extract<DirectoryView, { kind: 'usable' }>;

/** How a snapshot differs from one of a healthy, open shard of three peers. */
export interface Difference {
  /** Whose eyes. pg-1-0 is the primary, pg-1-1 the sync, the others follow; outside the chain it is pg-1-2. */
  readonly role?: 'primary' | 'sync' | 'async' | 'deposed' | 'none';
  readonly peers?: 1 | 3 | 5;
  /** A standby's verdict on the primary. */
  readonly primary?: PrimaryVerdict['kind'] | 'silent, unconfirmed';
  /** The primary's verdict on the sync; it has stood for five seconds. */
  readonly sync?: SyncVerdict['kind'];
  readonly isFrozen?: boolean;
  readonly isManual?: boolean;
  readonly isTerminating?: boolean;
  readonly isRegistered?: boolean;
  /** Of my own record. */
  readonly status?: PeerStatus;
  readonly state?: Partial<ClusterState> | 'absent';
  readonly config?: Partial<ShardConfig>;
  readonly requests?: Requests;
  /** By id; `absent`: not there. */
  readonly records?: Readonly<Record<string, Partial<PeerRecord> | 'absent'>>;
  /** To heartbeats of the primary. */
  readonly answers?: Readonly<Record<string, Partial<HeartbeatAnswer> | 'absent'>>;
  readonly etcd?: Partial<EtcdView>;
  readonly local?: Partial<LocalRecord>;
  /** What of my server: `down` is ended in order, `crashed` is not. */
  readonly process?: 'up' | 'down' | 'crashed' | 'starting' | 'remains';
  readonly directory?: Partial<UsableDirectory> | 'none' | 'unfinished';
  readonly answered?: Partial<Answered>;
  /** The rows to my direct downstream. */
  readonly sender?: Partial<SenderView> | 'absent';
  readonly written?: Partial<Settings> | 'nothing';
  readonly server?: Partial<ServerView>;
  readonly evidence?: Partial<Evidence>;
  readonly rest?: Partial<Pick<Snapshot, 'job' | 'lastCheckpoint' | 'failures' | 'terminatingSince' | 'times'>>;
}

/** A peer as a state lists it. */
export function aRef(n: number, fields: Partial<PeerRef> = {}): PeerRef {
  return {
    id: `pg-1-${n}`,
    incarnation: `life-${n}`,
    pgUrl: `postgresql://10.0.0.${n}:5432`,
    sitterUrl: `http://10.0.0.${n}:5433`,
    ...fields,
  };
}

/** Where the PostgreSQL of a peer listens. */
export function anEndpoint(n: number): Endpoint {
  return { id: `pg-1-${n}`, host: `10.0.0.${n}`, port: 5432 };
}

/** Generation 4 of a shard of so many peers, on its third timeline. */
export function aState(peers: 1 | 3 | 5 = 3, fields: Partial<ClusterState> = {}): ClusterState {
  const [primary, sync, ...async] = Array.from({ length: peers }, (_, n) => aRef(n));
  return {
    v: 2,
    seq: 9,
    generation: 4,
    primary: primary ?? aRef(0),
    sync: sync ?? null,
    ...(sync === undefined ? { oneNode: 'created' as const } : {}),
    async,
    deposed: [],
    initWal: '0/3000000',
    initTimeline: 3,
    timeline: 3,
    systemId: SYSTEM_ID,
    pgMajor: 18,
    cause: 'sync-replaced',
    writer: 'pg-1-0',
    ...fields,
  };
}

/** The record of a peer that is well. */
export function aRecordOf(ref: PeerRef, fields: Partial<PeerRecord> = {}): PeerRecord {
  return {
    ...ref,
    session: `session of ${ref.id}`,
    pgMajor: 18,
    status: 'active',
    statusGeneration: 4,
    systemId: SYSTEM_ID,
    timeline: 3,
    walEnd: END,
    rewindable: true,
    health: 'ok',
    local: { maxGeneration: 4, maxSeq: 9, lastRole: 'async', lastTimeline: 3 },
    ...fields,
  };
}

/** What a standby that can take over answers. */
export function anAnswer(ref: PeerRef, fields: Partial<HeartbeatAnswer> = {}): HeartbeatAnswer {
  return {
    at: NOW - 50,
    shard: 1,
    id: ref.id,
    incarnation: ref.incarnation,
    session: `session of ${ref.id}`,
    generation: 4,
    n: 100,
    received: END,
    replayed: END,
    health: 'ok',
    terminating: false,
    ready: true,
    ...fields,
  };
}

/** A row of pg_stat_replication of a standby that holds everything. */
export function aSender(name: string, fields: Partial<SenderView> = {}): SenderView {
  return {
    pid: 500,
    name,
    state: 'streaming',
    priority: 1,
    sent: END_LSN,
    flushed: END_LSN,
    replayed: END_LSN,
    replyTime: 'lately',
    repliedAt: NOW - 300,
    flushMovedAt: NOW - 100,
    ...fields,
  };
}

/** A complete snapshot of a healthy, open shard through the eyes of one peer, but for the difference. */
export function aSnapshot(difference: Difference = {}): Snapshot {
  const role = difference.role ?? 'primary';
  const state = stateFor(role, difference);
  const n = role === 'primary' ? 0 : role === 'sync' ? 1 : 2;
  const bare: Snapshot = {
    now: NOW,
    me: {
      id: `pg-1-${n}`,
      session: `session of pg-1-${n}`,
      pgUrl: aRef(n).pgUrl,
      sitterUrl: aRef(n).sitterUrl,
      pgMajor: 18,
    },
    etcd: etcdFor(state, difference),
    local: localFor(n, role, difference),
    server: serverFor(n, role, state ?? aState(difference.peers), difference),
    evidence: evidenceFor(role, state ?? aState(difference.peers), difference),
    job: undefined,
    lastCheckpoint: undefined,
    failures: {},
    terminatingSince: difference.isTerminating ? NOW - 1_000 : undefined,
    times: defaultTimes,
    ...difference.rest,
  };
  if (difference.server !== undefined && 'written' in difference.server) return bare;
  return { ...bare, server: { ...bare.server, written: writtenFor(bare, role, difference) } };
}

/** The snapshot after this process wrote the settings, and they are in force. */
export function withSettings(s: Snapshot, settings: Settings): Snapshot {
  return { ...s, server: { ...s.server, written: settings } };
}

function stateFor(role: Difference['role'], { peers, state }: Difference): ClusterState | undefined {
  if (state === 'absent') return undefined;
  const whole = aState(peers);
  const outside =
    role === 'deposed' || role === 'none' ? { async: whole.async.filter(({ id }) => id !== 'pg-1-2') } : {};
  const deposed = { ...aRef(2), sinceGeneration: 4, forkTimeline: 2, forkWal: '0/2800000' };
  return { ...whole, ...outside, ...(role === 'deposed' ? { deposed: [deposed] } : {}), ...state };
}

function etcdFor(state: ClusterState | undefined, d: Difference): EtcdView {
  const count = d.peers ?? 3;
  const everybody = Array.from({ length: count }, (_, n) => aRef(n));
  const known = state === undefined ? [] : [...chainOf(state), ...state.deposed];
  const ids = [...everybody, ...known].map(({ id }) => id);
  const refs = [...new Set([...ids, ...Object.keys(d.records ?? {})])].map(id => aRef(ordinal(id)));
  const peers: Record<string, PeerView> = {};
  for (const ref of refs) {
    const change = d.records?.[ref.id];
    if (change === 'absent') continue;
    peers[ref.id] = {
      value: aRecordOf(ref, change),
      modRevision: 60 + ordinal(ref.id),
      createRevision: 20 + ordinal(ref.id),
    };
  }
  const config: ShardConfig = {
    peers: count,
    failover: d.isManual ? 'manual' : 'auto',
    databases: ['index'],
    parameters: {},
    ...(d.isFrozen ? { freeze: { at: '2026-01-01T00:00:00Z', by: 'test', reason: 'test' } } : {}),
    ...d.config,
  };
  return {
    readAt: NOW - 200,
    state: state === undefined ? undefined : { value: state, modRevision: 50 },
    stateInvalid: undefined,
    config: { value: config, modRevision: 40 },
    bootstrap: undefined,
    requests: d.requests ?? {},
    answer: undefined,
    peers,
    absentSince: {},
    registered: (d.isRegistered ?? true) ? 25 : undefined,
    unsettled: false,
    ...d.etcd,
  };
}

function ordinal(id: string): number {
  return Number(id.slice(-1));
}

function localFor(n: number, role: NonNullable<Difference['role']>, d: Difference): LocalRecord {
  return {
    shard: 1,
    id: `pg-1-${n}`,
    incarnation: `life-${n}`,
    systemId: SYSTEM_ID,
    highWater: { maxGeneration: 4, maxSeq: 9, lastRole: role, lastTimeline: 3 },
    promotedTimelines: [],
    ...d.local,
  };
}

function serverFor(n: number, role: string, state: ClusterState, d: Difference): ServerView {
  const process = d.process ?? 'up';
  const isUp = process === 'up';
  return {
    process: { kind: process === 'down' || process === 'crashed' ? 'none' : process },
    directory: directoryFor(n, role, process, d),
    oldIncarnations: [],
    written: undefined,
    receiverPassword: role === 'primary' || !isUp ? 'empty' : 'current',
    answered: isUp ? answeredFor(`pg-1-${n}`, role, state, d) : undefined,
    unansweredSince: undefined,
    crashedAt: process === 'crashed' || process === 'remains' ? NOW - 20 : undefined,
    starts: isUp ? [NOW - 100_000] : [],
    free: { ratio: 0.6, bytes: 60 * 1024 ** 3 },
    drift: undefined,
    ...d.server,
  };
}

function directoryFor(n: number, role: string, process: string, d: Difference): DirectoryView {
  if (d.directory === 'none' || d.directory === 'unfinished') return { kind: d.directory };
  const isClean = process === 'down';
  return {
    kind: 'usable',
    incarnation: `life-${n}`,
    systemId: SYSTEM_ID,
    pgMajor: 18,
    timeline: 3,
    isClean,
    end: isClean ? END_LSN : undefined,
    wasStandby: role !== 'primary',
    ...d.directory,
  };
}

function answeredFor(id: string, role: string, state: ClusterState, d: Difference): Answered {
  const isPrimary = role === 'primary';
  const chain = chainOf(state);
  const below = chain[chain.findIndex(peer => peer.id === id) + 1];
  const isInChain = chain.some(peer => peer.id === id);
  const senders = below === undefined || !isInChain || d.sender === 'absent' ? [] : [aSender(below.id, d.sender)];
  return {
    at: NOW - 20,
    inRecovery: !isPrimary,
    timeline: state.timeline,
    flushed: isPrimary ? END_LSN : undefined,
    received: isPrimary ? undefined : END_LSN,
    replayed: isPrimary ? undefined : END_LSN,
    ancestry: [
      { timeline: 1, end: parseLsn('0/1000000') },
      { timeline: 2, end: parseLsn('0/2800000') },
    ],
    ssn: isPrimary ? ssnOf(state) : [],
    readOnly: !isPrimary,
    senders,
    commitWaitingSince: undefined,
    streamMovedAt: isPrimary ? undefined : NOW - 100,
    isStreaming: !isPrimary,
    replayMovedAt: isPrimary ? undefined : NOW - 100,
    followedAt: isPrimary ? undefined : NOW - 100,
    ...d.answered,
  };
}

function evidenceFor(role: string, state: ClusterState, d: Difference): Evidence {
  const isPrimary = role === 'primary';
  const answers: Record<string, HeartbeatAnswer> = {};
  for (const ref of isPrimary ? [state.sync, state.async[0]] : []) {
    const change = ref ? d.answers?.[ref.id] : undefined;
    if (ref && change !== 'absent') answers[ref.id] = anAnswer(aRef(ordinal(ref.id)), change);
  }
  const kind = d.primary === 'silent, unconfirmed' ? 'silent' : (d.primary ?? 'alive');
  const judgesPrimary = state.sync?.id !== undefined && (role === 'sync' || role === 'async');
  return {
    primary: judgesPrimary ? { kind, isConfirmed: d.primary !== 'silent, unconfirmed', since: NOW - 500 } : undefined,
    sync: isPrimary && state.sync !== null ? { kind: d.sync ?? 'fine', since: NOW - 5_000 } : undefined,
    answers,
    heartbeat: undefined,
    freshAt: isPrimary ? NOW - 200 : undefined,
    status: d.status ?? 'active',
    statusGeneration: 4,
    rewindable: true,
    statusSince: NOW - 100_000,
    withdrewAt: undefined,
    requestedAt: d.requests?.switchover === undefined ? undefined : NOW - 10_000,
    ...d.evidence,
  };
}

function writtenFor(s: Snapshot, role: string, d: Difference): Settings | undefined {
  const process = d.process ?? 'up';
  if (d.written === 'nothing' || (process !== 'up' && d.written === undefined)) return undefined;
  const state = s.etcd.state?.value ?? aState(d.peers);
  const whole: Snapshot = { ...s, etcd: { ...s.etcd, state: { value: state, modRevision: 50 } } };
  const tail = chainOf(state).at(-1) ?? state.primary;
  const upstream = upstreamOf(state, s.me.id) ?? tail;
  const settings =
    role === 'primary'
      ? primarySettings(whole, { ssn: ssnOf(state), readOnly: false, gate: 'open' })
      : standbySettings(whole, endpointOf(whole, upstream));
  return { ...settings, ...d.written };
}
