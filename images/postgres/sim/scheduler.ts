interface Entry {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/**
 * Simulated time: events in the order of their moments, those of one moment in the order they were asked for. After an
 * event that settled a promise, everything that waited for it runs before the next event, so that asynchronous code of
 * production takes no simulated time and always runs in the same order.
 */
export class Scheduler {
  /** Milliseconds since the world began. */
  now = 0;
  readonly #heap: Entry[] = [];
  #ordered = 0;
  #isAwaited = false;
  #isStopped = false;
  events = 0;

  /** Returns what cancels it. */
  after(ms: number, run: () => void): () => void {
    const entry: Entry = { at: this.now + Math.max(0, ms), order: this.#ordered++, run };
    push(this.#heap, entry);
    return () => {
      entry.run = undefined;
    };
  }

  /** Called by whatever settles a promise inside an event. */
  settled(): void {
    this.#isAwaited = true;
  }

  /** Ends `runUntil` after the event that runs now. */
  stop(): void {
    this.#isStopped = true;
  }

  async runUntil(end: number): Promise<void> {
    while (!this.#isStopped) {
      const entry = this.#heap[0];
      if (entry === undefined || entry.at > end) break;
      pop(this.#heap);
      if (entry.run === undefined) continue;
      this.now = entry.at;
      this.events += 1;
      entry.run();
      if (this.#isAwaited) {
        this.#isAwaited = false;
        await new Promise(resolve => setImmediate(resolve));
      }
    }
    if (!this.#isStopped) this.now = end;
  }
}

/** How a machine's monotonic clock differs: where it started, and how fast it runs (replication.md §9.4: below 5 % apart). */
export interface Clock {
  readonly startedAt: number;
  readonly rate: number;
}

/**
 * One life of a process. After its end nothing it waited for ever comes back, so that code in the middle of an action
 * simply never goes on, as after SIGKILL. While it is paused everything waits.
 */
export class Life {
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  #isOver = false;
  #pauses = 0;
  #deferred: (() => void)[] = [];
  readonly #closing: (() => void)[] = [];

  constructor(scheduler: Scheduler, clock: Clock = { startedAt: 0, rate: 1 }) {
    this.#scheduler = scheduler;
    this.#clock = clock;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isPaused(): boolean {
    return this.#pauses > 0;
  }

  /** Monotonic milliseconds by this machine's clock. */
  now(): number {
    return this.#clock.startedAt + this.#scheduler.now * this.#clock.rate;
  }

  /** Now, or on resume, or never. */
  run(work: () => void): void {
    if (this.#isOver) return;
    if (this.#pauses > 0) this.#deferred.push(work);
    else work();
  }

  /** `ms` by this machine's clock. Returns what cancels it. */
  after(ms: number, work: () => void): () => void {
    return this.#scheduler.after(ms / this.#clock.rate, () => this.run(work));
  }

  /** Resolves in `ms` with what `compute` returns then, or rejects with what it throws. */
  call<Value>(ms: number, compute: () => Value): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.after(ms, () => {
        this.#scheduler.settled();
        try {
          resolve(compute());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Resolves after `ms`, or early when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.promise(settle => {
      this.after(ms, () => settle.resolve(undefined));
      signal?.addEventListener('abort', () => settle.resolve(undefined));
    });
  }

  /** A promise settled by events of this life; `settle` may be called from any of them, the first call counts. */
  promise<Value>(
    start: (settle: { resolve(value: Value): void; reject(error: unknown): void }) => void,
  ): Promise<Value> {
    return new Promise((resolve, reject) => {
      const within = (work: () => void) =>
        this.run(() => {
          this.#scheduler.settled();
          work();
        });
      start({ resolve: value => within(() => resolve(value)), reject: error => within(() => reject(error)) });
    });
  }

  /** What the kernel does when the process is gone. */
  whenOver(work: () => void): void {
    this.#closing.push(work);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deferred = [];
    for (const work of this.#closing.splice(0)) work();
  }

  /** Pauses add up: it goes on after as many resumes. */
  pause(): void {
    this.#pauses += 1;
  }

  resume(): void {
    if (this.#pauses === 0) return;
    this.#pauses -= 1;
    if (this.#pauses > 0) return;
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const work of deferred) this.#scheduler.after(0, () => this.run(work));
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Entry[], entry: Entry): void {
  let place = heap.length;
  heap.push(entry);
  while (place > 0) {
    const parent = (place - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !isBefore(entry, above)) break;
    heap[place] = above;
    place = parent;
  }
  heap[place] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let place = 0;
  for (;;) {
    let child = 2 * place + 1;
    let below = heap[child];
    if (below === undefined) break;
    const other = heap[child + 1];
    if (other !== undefined && isBefore(other, below)) {
      child += 1;
      below = other;
    }
    if (!isBefore(below, last)) break;
    heap[place] = below;
    place = child;
  }
  heap[place] = last;
}
