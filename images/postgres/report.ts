import type { Logger } from 'pino';
import { healthOf } from './health.ts';
import type { HeartbeatSender } from './heartbeat-sender.ts';
import type { RunningJobs } from './jobs.ts';
import type { SitterMetrics } from './metrics.ts';
import type { KeptRecord } from './own-record.ts';
import type { Round } from './sitter.ts';

export interface ReportDeps {
  readonly logger: Logger;
  readonly record: Pick<KeptRecord, 'show'>;
  readonly metrics: Pick<SitterMetrics, 'show'>;
  readonly sender: Pick<HeartbeatSender, 'beat'>;
  readonly jobs: Pick<RunningJobs, 'progress'>;
}

/** Tells everybody what a turn of the loop saw: this peer's record, metrics, the log, and the standbys where it is news. */
export function createReport({ logger, record, metrics, sender, jobs }: ReportDeps): (round: Round) => void {
  let told = '';
  let waitingFor = '';
  return round => {
    const { snapshot, decision } = round;
    const { evidence, local, server, etcd, terminatingSince } = snapshot;
    const action = decision?.action;
    const rule = action?.kind === 'wait' ? { name: decision?.rule ?? '', why: action.why } : undefined;
    record.show({ local, server, health: healthOf(snapshot), progress: jobs.progress(), rule });
    metrics.show(round);

    const state = etcd.state?.value;
    const news = JSON.stringify([state?.generation, evidence.status, terminatingSince !== undefined]);
    if (news !== told) sender.beat();
    told = news;

    const waiting = rule === undefined ? '' : `${rule.name} ${rule.why}`;
    if (waiting !== waitingFor && rule !== undefined) logger.info({ rule: rule.name, why: rule.why }, 'waiting');
    waitingFor = waiting;
  };
}
