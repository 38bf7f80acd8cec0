import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { DatabaseError } from './failure.ts';
import { type ConnectionTarget, type DatabaseTarget, type Home, isMoving, type MovingTarget } from './moving-target.ts';
import { type Connection, type ConnectionsConfig, type Server, Site, superseded } from './site.ts';

/** The connections of one pool, to one server at a time. */
export interface Connections {
  /**
   * The server to go to. One that moves is waited for in its waiting room until it has let a first connection in, so that
   * a closed gate is knocked at by one of the callers and not by all of them.
   */
  server(signal: AbortSignal): Promise<Server>;
  /** Ends when connections in use have been released. */
  close(): Promise<void>;
}

/** Milliseconds between two knocks at a closed gate: the first, doubled up to the last. */
const KNOCK_MS = { first: 5, last: 25 };

/** Connections to a fixed place, or to a primary wherever it goes (replication.md §9.2). */
export function createConnections(
  deps: { readonly logger: Logger },
  target: DatabaseTarget,
  config: ConnectionsConfig,
): Connections {
  return isMoving(target) ? new Following(deps, target, config) : fixed(deps, target, config);
}

function fixed(deps: { readonly logger: Logger }, target: ConnectionTarget, config: ConnectionsConfig): Connections {
  const site = new Site(deps, target, config);
  return { server: async () => site, close: () => site.close() };
}

interface Door {
  readonly home: Home;
  readonly site: Site;
  /** A first connection has been let in. */
  isOpen: boolean;
  isKnocking: boolean;
}

class Following implements Connections {
  readonly #deps: { readonly logger: Logger };
  readonly #target: MovingTarget;
  readonly #config: ConnectionsConfig;
  readonly #stopFollowing: () => void;
  #door: Door | undefined;
  #isClosed = false;

  constructor(deps: { readonly logger: Logger }, target: MovingTarget, config: ConnectionsConfig) {
    this.#deps = deps;
    this.#target = target;
    this.#config = config;
    this.#stopFollowing = target.onMove(home => this.#leave(home));
  }

  server(signal: AbortSignal): Promise<Server> {
    return this.#target.room.enter(() => this.#ready(), signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopFollowing();
    await this.#door?.site.close();
  }

  #ready(): Server | undefined {
    const home = this.#target.home();
    if (home === undefined || this.#isClosed) return undefined;
    const door = this.#doorOf(home);
    if (door.isOpen) return { connect: () => this.#connect(door) };
    void this.#knock(door);
    return undefined;
  }

  #doorOf(home: Home): Door {
    this.#leave(home);
    if (this.#door === undefined) {
      const site = new Site(this.#deps, home.connection, this.#config, () => this.#target.mayUse(home), home);
      this.#door = { home, site, isOpen: false, isKnocking: false };
    }
    return this.#door;
  }

  #leave(current: Home): void {
    if (this.#door === undefined || this.#door.home === current) return;
    this.#deps.logger.debug({ pool: this.#config.name, timeline: this.#door.home.timeline }, 'leaving a primary');
    this.#door.site.destroy();
    this.#door = undefined;
  }

  async #connect(door: Door): Promise<Connection> {
    // It waited for its place in the pool, and the primary may have begun to hand over meanwhile.
    if (this.#target.home() !== door.home) throw superseded();
    try {
      return await door.site.connect();
    } catch (error) {
      if (error instanceof DatabaseError && error.isRefusal) door.isOpen = false;
      throw error;
    }
  }

  /** Until somebody is let in, or nobody waits any more. A refusal that is no matter of time is left to the callers. */
  async #knock(door: Door): Promise<void> {
    if (door.isKnocking) return;
    door.isKnocking = true;
    for (let waitMs = KNOCK_MS.first; ; waitMs = Math.min(2 * waitMs, KNOCK_MS.last)) {
      try {
        (await door.site.connect()).release(false);
        door.isOpen = true;
      } catch (error) {
        door.isOpen = !(error instanceof DatabaseError && error.isRefusal);
        this.#deps.logger.debug({ pool: this.#config.name, err: error }, 'the primary does not let in yet');
      }
      if (door.isOpen || this.#door !== door || this.#target.home() !== door.home) break;
      await sleep(waitMs);
      if (this.#isClosed || this.#door !== door || this.#target.room.waiting === 0) break;
    }
    door.isKnocking = false;
    // Also those who came while this ended without an answer: whoever still waits knocks again.
    if (!this.#isClosed) this.#target.room.wake();
  }
}
