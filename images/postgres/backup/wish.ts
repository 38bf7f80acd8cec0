import { answered, isBusy, isTerminating } from '../facts.ts';
import type { Snapshot } from '../snapshot.ts';
import type { SystemFacts, TimelinePath } from './catalogue.ts';

/** What this peer is to archive, and where. */
export interface BackupWish {
  readonly target: string;
  readonly recoveryDays: number;
  readonly system: Pick<SystemFacts, 'systemId' | 'pgMajor'>;
  /** Of the data directory. */
  readonly incarnation: string;
  /** Where the server is now. */
  readonly path: TimelinePath;
}

/** With less of a volume left, its WAL is given up rather than kept for the archive. */
const LEAST_FREE_RATIO = 0.1;

/**
 * Undefined: this peer makes no backups (replication.md §11.13). The last async does, the primary while there is none:
 * as for dumps. Never while the server is being started, stopped or rebuilt.
 */
export function backupWish(s: Snapshot): BackupWish | undefined {
  const backup = s.etcd.config?.value.backup;
  const { directory, written, free } = s.server;
  const found = answered(s);
  if (backup === undefined || written?.dumps !== true || isTerminating(s) || isBusy(s)) return undefined;
  if (found === undefined || directory.kind !== 'usable') return undefined;
  if (directory.systemId !== s.etcd.state?.value.systemId || free.ratio < LEAST_FREE_RATIO) return undefined;
  const { systemId, pgMajor, incarnation } = directory;
  return {
    ...backup,
    system: { systemId, pgMajor },
    incarnation,
    path: { timeline: found.timeline, ancestry: found.ancestry },
  };
}
