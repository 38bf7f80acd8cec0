import { Gauge, type Registry } from 'prom-client';
import type { BackupStatus, Backups } from './backups.ts';

/** How old what a restore would find is (replication.md §14.1). Peers that make no backups show neither. */
export function registerBackupMetrics(registry: Registry, backups: Pick<Backups, 'status'>): void {
  const age = (name: string, help: string, of: (status: BackupStatus) => number | undefined) =>
    new Gauge({
      name: `manta_postgres_${name}_age_seconds`,
      help,
      registers: [registry],
      collect() {
        const status = backups.status();
        const seconds = status === undefined ? undefined : of(status);
        if (seconds === undefined) this.remove();
        else this.set(seconds);
      },
    });
  age('backup', 'of the newest base backup that counts', status => status.backupAgeSeconds);
  age('archived', 'since all WAL of this peer was archived', status => status.archivedAgeSeconds);
}
