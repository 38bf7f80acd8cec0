/** The times and limits of replication.md appendix A. All milliseconds but where the name says otherwise. */
export interface Times {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly probeEveryMs: number;
  readonly probeDeadlineMs: number;
  readonly detachedMs: number;
  readonly syncLostMs: number;
  readonly syncStallMs: number;
  readonly stallReadOnlyMs: number;
  readonly healthMs: number;
  readonly healthFailMs: number;
  readonly candidateLagBytes: bigint;
  readonly candidateWaitMs: number;
  readonly drainMs: number;
  readonly switchoverTimeoutMs: number;
  readonly abdicateTimeoutMs: number;
  readonly promoteTimeoutMs: number;
  readonly stopFastMs: number;
  readonly stopImmediateMs: number;
  readonly asyncAbsentMs: number;
  readonly receiverStatusMs: number;
  /** How long S still waits to be replaced after SIGTERM. */
  readonly leaveMs: number;
  /** An action that has not ended by then is abandoned. */
  readonly actionMs: number;
  /** The loop runs at least this often. */
  readonly loopMs: number;
}

export const defaultTimes: Times = {
  leaseMs: 2_000,
  heartbeatMs: 200,
  probeEveryMs: 50,
  probeDeadlineMs: 300,
  detachedMs: 10_000,
  syncLostMs: 1_000,
  syncStallMs: 3_000,
  stallReadOnlyMs: 2_000,
  healthMs: 1_000,
  healthFailMs: 5_000,
  candidateLagBytes: 16n * 1024n * 1024n,
  candidateWaitMs: 10_000,
  drainMs: 250,
  switchoverTimeoutMs: 3_000,
  abdicateTimeoutMs: 3_000,
  promoteTimeoutMs: 60_000,
  stopFastMs: 20_000,
  stopImmediateMs: 10_000,
  asyncAbsentMs: 30_000,
  receiverStatusMs: 1_000,
  leaveMs: 20_000,
  actionMs: 2_000,
  loopMs: 200,
};

/** The figures that follow from others. */
export function derivedTimes(times: Times) {
  return {
    /** Between renewals of the registration. */
    renewMs: times.leaseMs / 4,
    /** How long a registration is trusted after its last renewal was sent. */
    registeredMs: times.leaseMs - times.leaseMs / 4,
    /** How long a primary, or a client, trusts a proof that the primary has not been superseded. */
    fenceMs: 1.5 * times.leaseMs,
    silenceMs: 6 * times.heartbeatMs,
    /** A reply of a standby younger than this was "seen lately". */
    recentReplyMs: 2 * times.receiverStatusMs,
  };
}
