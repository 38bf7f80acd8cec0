import type { Logger } from 'pino';
import { ApiError, isConflict } from '../../lib/kubernetes/api-error.ts';
import type { CallOptions, Kubernetes } from '../../lib/kubernetes/kubernetes.ts';
import type { Stored } from '../../lib/kubernetes/object.ts';
import { type Lease, leases } from '../../lib/kubernetes/resources.ts';
import type { Clock } from '../../lib/lifecycle/clock.ts';
import { startTask, type Task } from '../../lib/lifecycle/task.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { type Schedule, systemSchedule } from './timers.ts';

export interface LeaderElectionDeps {
  readonly kubernetes: Pick<Kubernetes, 'get' | 'create' | 'replace'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<RuntimeMetrics, 'leader'>;
  readonly schedule?: Schedule;
}

export interface LeaderElectionConfig {
  readonly namespace: string;
  /** The Lease's name. */
  readonly name: string;
  /** Of this process alone, never used before: a host's name and something random. */
  readonly identity: string;
  /** A lease that was not renewed for so long may be taken. Default: 15 s. */
  readonly leaseMs?: number;
  /** A holder that could not renew for so long has lost it. Below `leaseMs`. Default: 10 s. */
  readonly renewDeadlineMs?: number;
  /** Between attempts. Default: 2 s. */
  readonly retryMs?: number;
}

export interface LeaderElectionEvents {
  onElected(): void;
  /** Not told after `stop`. The process is to end: it cannot know what of its doing is still under way. */
  onLost(): void;
}

/** Who of several processes may act, by a Lease of coordination.k8s.io. */
export interface LeaderElector {
  start(events: LeaderElectionEvents): void;
  /** Judged by this process' own monotonic clock at the moment of the call. */
  isLeader(): boolean;
  /** Whose the lease was when it was last seen. */
  holder(): string | undefined;
  /** Gives the lease back, so that the next one need not wait. Idempotent. */
  stop(): Promise<void>;
}

export const LEADER_ELECTION_DEFAULTS = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };
const RELEASE_MS = 3_000;
const LATE = 'it could not be renewed in time';

/**
 * The times in the Lease are for people. A holder counts from when it sent its last good renewal; a candidate counts
 * from when it first saw the lease as it is now. So no clock is compared with another machine's, and between a holder's
 * giving up and a candidate's taking over lies `leaseMs - renewDeadlineMs` at least.
 */
export function createLeaderElector(deps: LeaderElectionDeps, given: LeaderElectionConfig): LeaderElector {
  const config = { ...LEADER_ELECTION_DEFAULTS, ...given };
  const { kubernetes, clock, metrics, schedule = systemSchedule } = deps;
  const { namespace, name, identity } = config;
  const logger = deps.logger.child({ lease: `${namespace}/${name}`, identity });
  let known: Stored<Lease> | undefined;
  let seenAt = 0;
  let leaderUntil: number | undefined;
  let events: LeaderElectionEvents | undefined;
  let task: Task | undefined;
  let isOver = false;
  let cancelLoss = () => {};

  function isLeader(): boolean {
    return leaderUntil !== undefined && clock.monotonic() < leaderUntil;
  }

  function see(lease: Stored<Lease> | undefined): void {
    if (lease?.metadata.resourceVersion !== known?.metadata.resourceVersion) seenAt = clock.monotonic();
    known = lease;
  }

  function isFree(): boolean {
    const { holderIdentity, leaseDurationSeconds } = known?.spec ?? {};
    if (holderIdentity === undefined || holderIdentity === '') return true;
    return clock.monotonic() - seenAt > (leaseDurationSeconds ?? config.leaseMs / 1_000) * 1_000;
  }

  function leaseOf(holder: string): Lease {
    const now = new Date(clock.now()).toISOString().replace('Z', '000Z');
    const isOurs = known?.spec?.holderIdentity === identity;
    const transitions = known?.spec?.leaseTransitions ?? 0;
    return {
      metadata: { ...known?.metadata, namespace, name },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: holder === '' ? 1 : Math.ceil(config.leaseMs / 1_000),
        acquireTime: isOurs ? (known?.spec?.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: isOurs || known === undefined ? transitions : transitions + 1,
      },
    };
  }

  async function attempt(signal: AbortSignal): Promise<void> {
    if (isOver) return;
    if (leaderUntil !== undefined && !isLeader()) {
      lose(LATE);
      return;
    }
    const call = { signal, timeoutMs: config.renewDeadlineMs / 2 };
    if ((leaderUntil === undefined || known === undefined) && !(await look(call))) return;
    const sentAt = clock.monotonic();
    try {
      const lease = leaseOf(identity);
      const written =
        known === undefined ? kubernetes.create(leases, lease, call) : kubernetes.replace(leases, lease, call);
      see(await written);
    } catch (error) {
      known = undefined;
      if (!isConflict(error) && !(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
      // Another one was faster, or the answer to an earlier attempt was lost.
      if (leaderUntil !== undefined) await look(call);
      return;
    }
    hold(sentAt, signal);
  }

  /** Reads the lease. True when this process may take or renew it. */
  async function look(call: CallOptions): Promise<boolean> {
    see(await kubernetes.get(leases, { namespace, name }, call));
    if (known?.spec?.holderIdentity === identity || isFree()) return true;
    lose(`it is ${known?.spec?.holderIdentity}'s`);
    return false;
  }

  function hold(sentAt: number, signal: AbortSignal): void {
    const isNew = leaderUntil === undefined;
    // An answer that came so late, to a process that stood still, is no lease any more.
    const isLate = clock.monotonic() - sentAt >= config.renewDeadlineMs;
    if (isOver || signal.aborted || (isNew && isLate)) return;
    leaderUntil = sentAt + config.renewDeadlineMs;
    awaitLoss(leaderUntil);
    if (!isNew) return;
    metrics.leader(name, true);
    logger.info('elected');
    events?.onElected();
  }

  function awaitLoss(at: number): void {
    cancelLoss();
    // Timers may ring a moment early.
    cancelLoss = schedule(Math.max(0, Math.ceil(at - clock.monotonic())), () => {
      if (isLeader()) awaitLoss(at);
      else lose(LATE);
    });
  }

  function lose(why: string): void {
    if (isOver || leaderUntil === undefined) return;
    isOver = true;
    leaderUntil = undefined;
    cancelLoss();
    metrics.leader(name, false);
    logger.error({ why }, 'the lease is lost');
    events?.onLost();
  }

  async function release(): Promise<void> {
    if (!isLeader()) return;
    try {
      // The last renewal may have been sent and its answer not awaited.
      known = await kubernetes.get(leases, { namespace, name }, { timeoutMs: RELEASE_MS });
      if (known?.spec?.holderIdentity !== identity) return;
      await kubernetes.replace(leases, leaseOf(''), { timeoutMs: RELEASE_MS });
      logger.info('the lease is given back');
    } catch (error) {
      logger.warn({ err: error }, 'the lease was not given back; it expires');
    }
  }

  return {
    isLeader,
    holder: () => known?.spec?.holderIdentity,
    start(told) {
      events = told;
      metrics.leader(name, false);
      task ??= startTask(`leader election ${name}`, config.retryMs, attempt, { logger });
    },
    async stop() {
      if (isOver) return;
      isOver = true;
      await task?.stop();
      cancelLoss();
      await release();
      leaderUntil = undefined;
      metrics.leader(name, false);
    },
  };
}
