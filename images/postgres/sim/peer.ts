import type { Machine } from './instance.ts';
import { createModelServer, type ModelServer } from './postgres.ts';
import { type Clock, Life } from './scheduler.ts';
import { type SitterLife, startSitter } from './sitter-life.ts';
import { createDirectory, Volume } from './volume.ts';
import { keys, type World } from './world.ts';

const PG_MAJOR = 17;

/** A pod: a volume that stays, and containers, one after the other, each with one sitter and its PostgreSQL. */
export class Peer {
  readonly id: string;
  readonly volume = new Volume();
  readonly pace = { replayMs: 0, recoveryMs: 0 };
  server: ModelServer | undefined;
  sitter: SitterLife | undefined;
  life: Life | undefined;
  /** The reason of its last decision, when that was to wait. */
  waitsFor: string | undefined;
  readonly #world: World;
  readonly #clock: Clock;
  readonly #fooledRewind: boolean;
  #lives = 0;
  #isSitterPaused = false;

  constructor(world: World, id: string, fooledRewind: boolean) {
    this.#world = world;
    this.id = id;
    this.#fooledRewind = fooledRewind;
    const random = world.random.fork(`clock ${id}`);
    this.#clock = { startedAt: random.between(1_000, 1e6), rate: random.between(0.98, 1.02) };
  }

  get isAlive(): boolean {
    return this.life !== undefined && !this.life.isOver;
  }

  /** A new container. It finds the volume and nothing else. */
  boot(): void {
    if (this.isAlive) return;
    const world = this.#world;
    this.#lives += 1;
    this.#isSitterPaused = false;
    const life = new Life(world.scheduler, this.#clock);
    const random = world.random.fork(`${this.id} ${this.#lives}`);
    const machine: Machine = {
      id: this.id,
      scheduler: world.scheduler,
      network: world.network,
      random,
      witness: world.checker,
      clock: this.#clock,
      volume: this.volume,
      files: { settings: undefined, password: 'empty' },
      fooledRewind: this.#fooledRewind,
      pace: this.pace,
      peerAt: address => world.addresses.get(address) ?? this.id,
      instanceAt: peer => world.instanceAt(peer),
    };
    const server = createModelServer(machine, life, PG_MAJOR);
    const address = [...world.addresses].find(([, peer]) => peer === this.id)?.[0] ?? '';
    const session = `${this.id}/${this.#lives}`;
    const hostOf = (sitterUrl: string) => world.addresses.get(new URL(sitterUrl).hostname) ?? this.id;
    this.life = life;
    this.server = server;
    world.note(this.id, `container starts, session ${session}`);
    this.sitter = startSitter({
      life,
      logger: world.logger,
      me: {
        id: this.id,
        session,
        pgUrl: `postgresql://${address}:5432`,
        sitterUrl: `http://${address}:80`,
        pgMajor: PG_MAJOR,
      },
      keys,
      coordinator: world.etcd.client(this.id, life),
      server,
      volume: this.volume,
      times: world.times,
      mutation: world.mutation,
      port: { network: world.network, hostOf, listenerAt: host => world.peer(host).sitter?.listener },
      randomName: () => `n${random.int(1e9).toString(36)}`,
      decided: decision => world.decided(this, decision),
      failed: (action, error) => {
        world.note(this.id, `${action.kind} failed: ${error instanceof Error ? error.message : String(error)}`);
        if (!(error instanceof Error) || error.name === 'TypeError') throw error;
      },
      exit: () => {
        this.crash();
        world.scheduler.after(random.between(200, 1_500), () => this.boot());
      },
    });
  }

  /** Everything of the container ends at once. */
  crash(): void {
    if (this.life === undefined || this.life.isOver) return;
    this.life.end();
    this.server?.kill();
    this.#world.etcd.forget(this.life);
  }

  /** SIGSTOP to the sitter. */
  pauseSitter(): void {
    if (this.#isSitterPaused) return;
    this.#isSitterPaused = true;
    this.life?.pause();
  }

  resumeSitter(): void {
    if (!this.#isSitterPaused) return;
    this.#isSitterPaused = false;
    this.life?.resume();
  }

  /** Somebody puts an earlier copy of the data in place, which has a life of its own. */
  restoreCopy(): void {
    this.crash();
    const { current, local } = this.volume;
    if (current === undefined || local === undefined) return;
    const copy = createDirectory(`${current.incarnation}-copy`, current.systemId);
    copy.wal.copyFrom(current.wal);
    // It lacks the last few records, and not initWal.
    copy.wal.cutAt(copy.wal.records.at(-6)?.start ?? copy.wal.insertAt);
    copy.state = 'in recovery';
    copy.checkpointTimeline = current.checkpointTimeline;
    copy.minRecovery = copy.wal.completeEnd;
    this.volume.directories = [copy];
    this.volume.local = { ...local, incarnation: copy.incarnation };
    this.#world.checker.volumeLost(this.id);
  }

  loseVolume(): void {
    this.crash();
    this.volume.lose();
    this.#world.checker.volumeLost(this.id);
  }
}
