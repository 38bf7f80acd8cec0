import express, { type Router } from 'express';
import { MantaError } from '../../lib/errors/manta-error.ts';
import { formatLsn, lsn } from '../../lib/shard/lsn.ts';
import { roleOf, upstreamOf } from '../../lib/shard/state.ts';
import { answered } from './facts.ts';
import { healthOf } from './health.ts';
import type { HeartbeatReceiver } from './heartbeat-receiver.ts';
import type { Identity } from './lines.ts';
import type { Sitter } from './sitter.ts';
import type { Snapshot } from './snapshot.ts';
import { derivedTimes } from './times.ts';

export interface StatusDeps {
  readonly now: () => number;
  readonly identity: () => Identity;
  readonly sitter: Pick<Sitter, 'last' | 'turnedAt' | 'overdue'>;
  readonly receiver: Pick<HeartbeatReceiver, 'heard'>;
  /** What the backups of this peer are at, for people. */
  readonly backup?: () => unknown;
}

/** The loop has to have come round within this (replication.md §12.4). */
const LIVE_MS = 5_000;

/** For `/livez`: says nothing of PostgreSQL, etcd or the role, which may all take long to come back. */
export function isLive({ now, sitter }: Pick<StatusDeps, 'now' | 'sitter'>): boolean {
  return now() - sitter.turnedAt() < LIVE_MS;
}

/** For `/readyz`: a primary whose gate is open, or a standby that streams from whom it should. */
export function isReady(s: Snapshot | undefined): boolean {
  const found = s === undefined ? undefined : answered(s);
  const state = s?.etcd.state?.value;
  if (s === undefined || found === undefined || state === undefined) return false;
  const { written } = s.server;
  if (roleOf(state, s.me.id) === 'primary') return !found.inRecovery && written?.gate === 'open' && !written.readOnly;
  const upstream = upstreamOf(state, s.me.id);
  return upstream !== undefined && found.isStreaming && written?.upstream?.id === upstream.id;
}

/** What programs and other sitters ask (§12.4), under `/internal/v1`. No safety decision depends on the answers. */
export function internalRouter({ now, identity, sitter, receiver }: StatusDeps): Router {
  const router = express.Router();
  const startedAt = now();

  router.get('/ping', (_request, response) => {
    response.json(identity());
  });

  router.get('/primary', (_request, response) => {
    const snapshot = sitter.last()?.snapshot;
    const freshForMs = snapshot === undefined ? undefined : freshFor(snapshot, now());
    if (freshForMs === undefined) throw new MantaError('ResourceNotFound', 'this peer is not the primary');
    const { id, incarnation } = identity();
    response.json({ id, incarnation, generation: snapshot && generationOf(snapshot), freshForMs });
  });

  router.get('/heard', (request, response) => {
    const primary = request.query.primary ?? sitter.last()?.snapshot.etcd.state?.value.primary.id;
    if (typeof primary !== 'string') throw new MantaError('InvalidParameter', 'primary: the id of a peer');
    const heardAt = receiver.heard(primary).last?.at ?? startedAt;
    const { shard, id } = identity();
    response.json({ shard, id, primary, silentForMs: Math.round(now() - heardAt) });
  });
  return router;
}

/** Of the state it was opened in: one that was lost or restored from a backup says nothing of that (§6.8). */
function generationOf(s: Snapshot): number {
  return Math.max(s.etcd.state?.value.generation ?? 0, s.local.highWater.maxGeneration);
}

/** Undefined: this peer is not an open primary. */
function freshFor(s: Snapshot, now: number): number | undefined {
  const state = s.etcd.state?.value;
  const found = answered(s);
  const isNamed = state === undefined || state.generation < generationOf(s) || state.primary.id === s.me.id;
  if (!isNamed || found === undefined || found.inRecovery || s.server.written?.gate !== 'open') return undefined;
  const { fenceMs } = derivedTimes(s.times);
  // In a one-node state nobody could supersede it.
  if (state?.oneNode !== undefined) return fenceMs;
  return Math.max(0, Math.round((s.evidence.freshAt ?? Number.NEGATIVE_INFINITY) + fenceMs - now));
}

/** For people and for the operator, under `/admin/v1`. */
export function adminRouter(deps: StatusDeps): Router {
  const router = express.Router();
  router.get('/state', (_request, response) => {
    response.type('application/json').send(JSON.stringify(describe(deps), jsonValue));
  });
  return router;
}

function describe({ now, identity, sitter, backup }: StatusDeps) {
  const round = sitter.last();
  if (round === undefined) return { ...identity(), role: 'none' };
  const { snapshot: s, decision } = round;
  const state = s.etcd.state?.value;
  return {
    ...identity(),
    role: state === undefined ? 'none' : roleOf(state, s.me.id),
    health: healthOf(s),
    status: s.evidence.status,
    statusGeneration: s.evidence.statusGeneration,
    rewindable: s.evidence.rewindable,
    isReady: isReady(s),
    /** What the loop is at: a rule that waits says why. */
    rule: decision === undefined ? undefined : { name: decision.rule, ...summaryOf(decision.action) },
    overdue: sitter.overdue(),
    verdicts: { primary: s.evidence.primary, sync: s.evidence.sync },
    state,
    coordination: {
      readAgeMs: ageOf(s.etcd.readAt, now()),
      isRegistered: s.etcd.registered !== undefined,
      isUnsettled: s.etcd.unsettled,
      stateInvalid: s.etcd.stateInvalid,
      absentForMs: Object.fromEntries(Object.entries(s.etcd.absentSince).map(([id, at]) => [id, ageOf(at, now())])),
    },
    freeze: s.etcd.config?.value.freeze,
    freshAgeMs: ageOf(s.evidence.freshAt, now()),
    heartbeatAgeMs: ageOf(s.evidence.heartbeat?.at, now()),
    answers: s.evidence.answers,
    local: s.local,
    server: s.server,
    job: s.job && { kind: s.job.kind, forMs: ageOf(s.job.since, now()) },
    backup: backup?.(),
    failures: s.failures,
    terminatingForMs: ageOf(s.terminatingSince, now()),
  };
}

function summaryOf(action: { readonly kind: string; readonly why?: string }) {
  return { action: action.kind, why: action.why };
}

function ageOf(at: number | undefined, now: number): number | undefined {
  return at === undefined ? undefined : Math.round(now - at);
}

/** The 64-bit numbers among what is shown are WAL positions. */
function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? formatLsn(lsn(value)) : value;
}
