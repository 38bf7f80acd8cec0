import type { LocalRecord } from '../snapshot.ts';
import { FIRST_POSITION, Wal } from './wal.ts';

/** One data directory. */
export interface Directory {
  readonly incarnation: string;
  readonly systemId: string;
  readonly wal: Wal;
  /** What the control file says. */
  state: 'shut down' | 'shut down in recovery' | 'in production' | 'in recovery';
  /** Timeline of the last checkpoint: pg_rewind before 16 believes it (measured: C10). */
  checkpointTimeline: number;
  /** Replay has come this far, durably: a standby is consistent from here on. */
  minRecovery: number;
  /** `standby.signal` is there. */
  isToFollow: boolean;
  /** A rewind that was cut off leaves what nobody may start. */
  isDamaged: boolean;
}

export function createDirectory(incarnation: string, systemId: string): Directory {
  return {
    incarnation,
    systemId,
    wal: new Wal(),
    state: 'in production',
    checkpointTimeline: 1,
    minRecovery: FIRST_POSITION,
    isToFollow: false,
    isDamaged: false,
  };
}

/** What a peer has on disk. It outlives processes and may be lost as a whole. */
export class Volume {
  directories: Directory[] = [];
  local: LocalRecord | undefined;
  /** The process that wrote the local record last. */
  session: string | undefined;
  isFull = false;
  /** The life of its first directory, for a mutation that tells lives apart no more. */
  firstIncarnation: string | undefined;

  /** By the local record. */
  get current(): Directory | undefined {
    return this.directories.find(directory => directory.incarnation === this.local?.incarnation);
  }

  lose(): void {
    this.directories = [];
    this.local = undefined;
    this.session = undefined;
    this.isFull = false;
  }
}
