import type { BackupKey } from '../backup/open-target.ts';
import type { Times } from '../times.ts';

/** What one peer's PostgreSQL is told by its program's configuration. */
export interface ServerConfig {
  /** The peer's id: what it is called as a standby. */
  readonly id: string;
  /** The data volume. Data directories are `pg/<incarnation>/` below it (replication.md §11.2). */
  readonly dataDir: string;
  /** A volume of its own for the WAL; undefined: in the data directory. */
  readonly walDir?: string;
  /** In memory: password files, and the socket where its path is short enough. */
  readonly runDir: string;
  /** One file a role, named for it, with its password. Read again whenever it is needed. */
  readonly passwordDir: string;
  /** Where PostgreSQL's programs are; undefined: found by `findBinaries`. */
  readonly binDir?: string;
  /** `listen_addresses`. */
  readonly listen: string;
  readonly port: number;
  /** Where this peer's own server is reached over TCP, for the login that opening ends with. */
  readonly ownHost: string;
  /** Networks the other peers may connect from, as in pg_hba.conf: `all`, or CIDR. */
  readonly peerNetworks: readonly string[];
  /** Certificate and key of the shard; undefined: no TLS for PostgreSQL. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** Base backups read no faster, kilobytes a second. */
  readonly rebuildMaxRateKb: number;
  /** For backups in a Manta region. */
  readonly backupKey?: BackupKey;
  readonly times: Pick<Times, 'stopFastMs' | 'stopImmediateMs'>;
}

/** The parts of the configuration that have one value nearly everywhere. */
export const serverDefaults = {
  listen: '*',
  port: 5432,
  ownHost: '127.0.0.1',
  peerNetworks: ['all'],
  rebuildMaxRateKb: 200 * 1024,
} as const;
