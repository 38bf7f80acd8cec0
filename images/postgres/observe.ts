import type { Detector } from './detector.ts';
import type { Failures } from './failures.ts';
import type { RunningJobs } from './jobs.ts';
import type { LocalRecordFile, OwnRecord } from './ports.ts';
import type { Server } from './server.ts';
import type { Me, Snapshot } from './snapshot.ts';
import type { FollowedShardStore } from './store.ts';
import type { Times } from './times.ts';

export interface ObserverDeps {
  readonly now: () => number;
  readonly server: Pick<Server, 'observe'>;
  readonly store: Pick<FollowedShardStore, 'observe'>;
  readonly local: LocalRecordFile;
  readonly record: OwnRecord;
  readonly jobs: RunningJobs;
  readonly failures: Failures;
  readonly detector: Detector;
  readonly terminatingSince: () => number | undefined;
}

/**
 * Takes a snapshot (replication.md §4.2). The server comes first, because only it takes time: everything else is then of
 * the moment that `now` says.
 */
export function createObserver(deps: ObserverDeps, me: Me, times: Times): () => Promise<Snapshot> {
  let request: { readonly id: string; readonly seenAt: number } | undefined;
  return async () => {
    const server = await deps.server.observe();
    const now = deps.now();
    const etcd = deps.store.observe();
    const asked = etcd.requests.switchover;
    if (asked?.id !== request?.id) request = asked && { id: asked.id, seenAt: now };
    const answered = server.process.kind === 'up' ? server.answered : undefined;
    const { status, statusGeneration, statusSince, withdrewAt, rewindable } = deps.record;
    return {
      now,
      me,
      etcd,
      local: deps.local.current(),
      server,
      evidence: {
        ...deps.detector.observe(etcd, answered, now),
        status,
        statusGeneration,
        statusSince,
        withdrewAt,
        requestedAt: request?.seenAt,
        rewindable,
      },
      job: deps.jobs.current(),
      lastCheckpoint: deps.jobs.lastCheckpoint(),
      failures: { ...deps.failures.current },
      terminatingSince: deps.terminatingSince(),
      times,
    };
  };
}
