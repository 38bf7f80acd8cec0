import type pg from 'pg';
import type { WaitingRoom } from './waiting-room.ts';

/** Where to connect. Asked for every new connection, so that it may follow a rotated password. */
export type ConnectionTarget = () => pg.ClientConfig;

/** One server as primary; the same object for as long as it is that. */
export interface Home {
  /** PostgreSQL's, by the state: every primary has its own. For logs. */
  readonly timeline: number;
  /** PostgreSQL's system identifier that the server must show. */
  readonly systemId?: string | undefined;
  readonly connection: ConnectionTarget;
}

/**
 * A database whose server may change (replication.md §9.2, layer 1). `lib/shard/resolver.ts` is what stands behind it;
 * pools and listeners use nothing but this.
 */
export interface MovingTarget {
  /** Where new work goes; undefined while it has to wait. */
  home(): Home | undefined;
  /** Whether a statement may still be sent on a connection to `home`: it is not superseded, and the proof of that is fresh. */
  mayUse(home: Home): boolean;
  /** Where work waits for `home` to be there, one for everything that goes to the same server. */
  readonly room: WaitingRoom;
  /** Milliseconds for which work that a server refused is tried again. */
  readonly patienceMs: number;
  /** Calls back when connections to another home than the one named are to be ended at once. Returns the way to end it. */
  onMove(listener: (home: Home) => void): () => void;
}

/** A database at a fixed place, or one that moves. */
export type DatabaseTarget = ConnectionTarget | MovingTarget;

/** Whether a target is one that moves. */
export function isMoving(target: DatabaseTarget): target is MovingTarget {
  return typeof target !== 'function';
}
