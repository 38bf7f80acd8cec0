/** One record of the write-ahead log. Two records are the same one exactly when they are the same object. */
export interface WalRecord {
  readonly timeline: number;
  readonly start: number;
  readonly end: number;
  readonly kind: 'commit' | 'filler' | 'checkpoint' | 'shutdown' | 'end-of-recovery';
  /** What a client wrote, unique in the world. */
  readonly value?: number;
}

/** Where an ancestor of a timeline ended. */
export interface Switch {
  readonly timeline: number;
  readonly end: number;
}

/** The history file of a timeline: its ancestors, oldest first. */
export interface HistoryFile {
  readonly timeline: number;
  readonly ancestry: readonly Switch[];
  /** Of a placeholder nothing but the name matters (replication.md §11.8). */
  readonly isPlaceholder: boolean;
}

export const SEGMENT_BYTES = 16 * 1024 * 1024;
export const FIRST_POSITION = SEGMENT_BYTES;

/**
 * The WAL of one data directory: the records of one history, in order, and how many bytes of it are durable. The last
 * record may be there in part only; whatever is not durable is gone after a crash.
 */
export class Wal {
  timeline = 1;
  /** Of `timeline`, oldest first. */
  ancestry: readonly Switch[] = [];
  readonly histories = new Map<number, HistoryFile>();
  records: WalRecord[] = [];
  /** Bytes that are durable; it may lie inside a record. */
  flushed = FIRST_POSITION;

  /** Where the next record begins. */
  get insertAt(): number {
    return this.records.at(-1)?.end ?? FIRST_POSITION;
  }

  /** End of the last complete durable record. */
  get completeEnd(): number {
    for (let place = this.records.length - 1; place >= 0; place -= 1) {
      const record = this.records[place];
      if (record !== undefined && record.end <= this.flushed) return record.end;
    }
    return FIRST_POSITION;
  }

  append(kind: WalRecord['kind'], bytes: number, value?: number): WalRecord {
    const start = this.insertAt;
    const record: WalRecord = {
      timeline: this.timeline,
      start,
      end: start + bytes,
      kind,
      ...(value === undefined ? {} : { value }),
    };
    this.records.push(record);
    return record;
  }

  /** Index of the first record that ends after the position. */
  indexAfter(position: number): number {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.records[middle]?.end ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The complete durable record that begins at the position: what pg_waldump would print. */
  recordAt(position: number): WalRecord | undefined {
    const record = this.records[this.indexAfter(position)];
    return record !== undefined && record.start === position && record.end <= this.flushed ? record : undefined;
  }

  /** Whether it holds this very record, complete and durable. */
  holds(record: WalRecord): boolean {
    return record.end <= this.flushed && this.records[this.indexAfter(record.start)] === record;
  }

  /** Drops what begins at or after the position. */
  cutAt(position: number): void {
    const keep = this.indexAfter(position - 1);
    const first = this.records[keep];
    this.records.length = first !== undefined && first.start < position ? keep + 1 : keep;
    this.flushed = Math.min(this.flushed, position);
  }

  /** What is left after a crash: without what was not durable, and, once recovery has ended, without a partial tail. */
  loseUnflushed(): void {
    const kept = this.indexAfter(this.flushed);
    // A record that is durable in part keeps its place until recovery ends.
    const partial = this.records[kept];
    this.records.length = partial !== undefined && partial.start < this.flushed ? kept + 1 : kept;
  }

  dropPartialTail(): void {
    this.records.length = this.indexAfter(this.flushed);
    this.flushed = this.insertAt;
  }

  /** Writes what came over the network where it belongs; what stood there before was never more than a leftover. */
  receive(records: readonly WalRecord[], to: number): void {
    for (const record of records) {
      const place = this.indexAfter(record.start);
      if (this.records[place] === record) continue;
      this.records.length = place;
      this.flushed = Math.min(this.flushed, record.start);
      this.records.push(record);
    }
    this.flushed = Math.max(this.flushed, Math.min(to, this.insertAt));
  }

  /** Where a timeline of this history ended: undefined for the current one and for timelines outside of it. */
  endOf(timeline: number): number | undefined {
    return this.ancestry.find(ancestor => ancestor.timeline === timeline)?.end;
  }

  /** Follows a newer timeline from where it forked. */
  followTo(timeline: number, ancestry: readonly Switch[]): void {
    const fork = ancestry.find(ancestor => ancestor.timeline === this.timeline)?.end;
    if (fork !== undefined) this.cutAt(fork);
    this.timeline = timeline;
    this.ancestry = ancestry;
  }

  copyFrom(source: Wal): void {
    this.timeline = source.timeline;
    this.ancestry = source.ancestry;
    this.records = source.records.slice(0, source.indexAfter(source.flushed));
    this.flushed = this.insertAt;
    for (const [timeline, file] of source.histories) this.histories.set(timeline, file);
  }
}

/** The first number above its own for which no history file is known: what PostgreSQL takes (measured: C8, C9). */
export function nextTimeline(wal: Wal): number {
  let timeline = wal.timeline + 1;
  while (wal.histories.has(timeline)) timeline += 1;
  return timeline;
}

/** Where two histories part: the end of the last timeline they have in common. Undefined where they have none. */
export function forkOf(target: Wal, source: Wal): number | undefined {
  const line = (wal: Wal): Switch[] => [...wal.ancestry, { timeline: wal.timeline, end: Number.POSITIVE_INFINITY }];
  const theirs = line(source);
  let fork: number | undefined;
  for (const [place, mine] of line(target).entries()) {
    const other = theirs[place];
    if (other === undefined || other.timeline !== mine.timeline) return fork;
    fork = Math.min(mine.end, other.end);
    if (other.end !== mine.end) return fork;
  }
  return fork;
}
