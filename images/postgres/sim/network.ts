import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * The network between hosts: peers, `etcd` and clients, by name. A blocked direction loses single messages and holds back
 * what connections carry, as TCP does by sending again; so an answer sent before a partition may arrive after it.
 */
export class Network {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #blocked = new Set<string>();
  readonly #slow = new Map<string, number>();
  readonly #connections = new Set<Connection>();

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  isOpen(from: string, to: string): boolean {
    return !this.#blocked.has(`${from}>${to}`);
  }

  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`);
  }

  unblock(from: string, to: string): void {
    this.#blocked.delete(`${from}>${to}`);
    for (const connection of this.#connections) connection.flush();
  }

  /** Everything that leaves or reaches a host takes this much longer; 0 ends it. */
  slowDown(host: string, ms: number): void {
    this.#slow.set(host, ms);
  }

  heal(): void {
    this.#blocked.clear();
    this.#slow.clear();
    for (const connection of this.#connections) connection.flush();
  }

  delay(from: string, to: string): number {
    return this.#random.between(0.1, 0.6) + (this.#slow.get(from) ?? 0) + (this.#slow.get(to) ?? 0);
  }

  /** One message: it arrives, or never does. */
  send(from: string, to: string, arrived: () => void): void {
    if (!this.isOpen(from, to)) return;
    this.#scheduler.after(this.delay(from, to), () => {
      if (this.isOpen(from, to)) arrived();
    });
  }

  /** A connection that both ends have agreed on. */
  connect(a: string, b: string): Connection {
    const connection = new Connection(this.#scheduler, this, a, b, () => this.#connections.delete(connection));
    this.#connections.add(connection);
    return connection;
  }
}

/** One end's view of a connection. */
export interface End {
  onMessage: (message: unknown) => void;
  /** The other end closed it, or its process ended: FIN or RST. Silence is the owner's to notice. */
  onClosed: () => void;
}

/** A time and the way there do not add up to the bit. */
const ROUNDING_MS = 1e-6;

interface Packet {
  readonly dueAt: number;
  readonly arrive: () => void;
}

/** An ordered stream between two hosts. */
export class Connection {
  readonly ends: readonly [End, End];
  readonly #scheduler: Scheduler;
  readonly #network: Network;
  readonly #hosts: readonly [string, string];
  readonly #forget: () => void;
  /** What is on its way, in order, by the receiving end. */
  readonly #onWay: readonly [Packet[], Packet[]] = [[], []];
  readonly #isClosed: [boolean, boolean] = [false, false];

  constructor(scheduler: Scheduler, network: Network, a: string, b: string, forget: () => void) {
    this.#scheduler = scheduler;
    this.#network = network;
    this.#hosts = [a, b];
    this.#forget = forget;
    const nothing = () => {};
    this.ends = [
      { onMessage: nothing, onClosed: nothing },
      { onMessage: nothing, onClosed: nothing },
    ];
  }

  /** Sends from the end with this number. */
  send(from: 0 | 1, message: unknown): void {
    if (this.#isClosed[from]) return;
    const to = from === 0 ? 1 : 0;
    this.#carry(to, () => {
      if (!this.#isClosed[to]) this.ends[to].onMessage(message);
    });
  }

  /** Nothing arrives at this end any more; the other end hears of it as soon as the network lets it. */
  close(from: 0 | 1): void {
    if (this.#isClosed[from]) return;
    this.#isClosed[from] = true;
    const to = from === 0 ? 1 : 0;
    this.#carry(to, () => {
      if (this.#isClosed[to]) return;
      this.#isClosed[to] = true;
      this.ends[to].onClosed();
    });
    if (this.#isClosed[0] && this.#isClosed[1]) this.#forget();
  }

  /** The way may be free again: what was held back is sent once more. */
  flush(): void {
    for (const to of [0, 1] as const) {
      if (this.#onWay[to].length > 0) this.#deliverAfter(to, this.#delay(to));
    }
  }

  #delay(to: 0 | 1): number {
    return this.#network.delay(this.#hosts[1 - to] ?? '', this.#hosts[to]);
  }

  #carry(to: 0 | 1, arrive: () => void): void {
    const { now } = this.#scheduler;
    const dueAt = Math.max(now + this.#delay(to), this.#onWay[to].at(-1)?.dueAt ?? 0);
    this.#onWay[to].push({ dueAt, arrive });
    this.#deliverAfter(to, dueAt - now);
  }

  #deliverAfter(to: 0 | 1, ms: number): void {
    this.#scheduler.after(ms, () => {
      const onWay = this.#onWay[to];
      // Whatever is behind one that is held back waits for it.
      while (this.#network.isOpen(this.#hosts[1 - to] ?? '', this.#hosts[to])) {
        const [first] = onWay;
        if (first === undefined || first.dueAt > this.#scheduler.now + ROUNDING_MS) return;
        onWay.shift();
        first.arrive();
      }
    });
  }
}
