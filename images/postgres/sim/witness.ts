import type { Directory } from './volume.ts';
import type { WalRecord } from './wal.ts';

/**
 * What the models report as it happens, for the properties to be checked. It sees everything at once, as no part of the
 * real system could, and changes nothing.
 */
export interface Witness {
  /** A server started on a directory. */
  started(peer: string, directory: Directory, role: 'primary' | 'standby'): void;
  /** A server has a synchronous_standby_names in force that it read just now. */
  named(peer: string, ssn: readonly string[], inRecovery: boolean): void;
  /** A record became durable on the server that wrote it. */
  written(peer: string, record: WalRecord): void;
  /** A commit succeeded without a warning. `ssn`: whether standbys were asked. */
  acknowledged(peer: string, record: WalRecord): void;
  /** A commit became visible without having been replicated: its wait was cancelled, or its backend terminated. */
  exempted(record: WalRecord, how: 'cancelled' | 'terminated'): void;
  /** A server out of recovery took this timeline at this position. */
  promoted(peer: string, directory: Directory): void;
  /** The postmaster has read a pg_hba.conf that admits clients, after one that did not. */
  opened(peer: string): void;
  /** A client that asked at `askedAt` was shown every commit but the hidden ones. */
  read(peer: string, directory: Directory, askedAt: number, isHidden: (record: WalRecord) => boolean): void;
  /** A directory lost records: cut, rewound, replaced or removed. */
  lost(peer: string, why: string): void;
  note(peer: string, text: string): void;
}
