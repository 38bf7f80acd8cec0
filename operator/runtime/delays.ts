/** Times at which keys are due, the earliest first. A key has one time at most. */
export interface Delays {
  /** Keeps the earlier of two times. */
  set(key: string, at: number): void;
  delete(key: string): void;
  /** When the next one is due. */
  next(): number | undefined;
  /** Takes out one that is due at `now`. */
  takeDue(now: number): string | undefined;
  size(): number;
}

interface Entry {
  readonly key: string;
  readonly at: number;
}

/** So many overtaken entries, and as many as there are valid ones, are left in the heap. */
const SLACK = 64;

/** A binary heap; an entry that was overtaken stays in it until it comes up or there are too many of them. */
export function createDelays(): Delays {
  let heap: Entry[] = [];
  const current = new Map<string, Entry>();

  function swap(a: number, b: number): void {
    [heap[a], heap[b]] = [heap[b] as Entry, heap[a] as Entry];
  }

  function isBefore(a: number, b: number): boolean {
    return (heap[a] as Entry).at < (heap[b] as Entry).at;
  }

  function push(entry: Entry): void {
    heap.push(entry);
    let at = heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(at, parent)) return;
      swap(at, parent);
      at = parent;
    }
  }

  function pop(): void {
    swap(0, heap.length - 1);
    heap.pop();
    let at = 0;
    for (;;) {
      const children = [2 * at + 1, 2 * at + 2].filter(child => child < heap.length);
      const [left, right] = children;
      if (left === undefined) return;
      const smaller = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(smaller, at)) return;
      swap(smaller, at);
      at = smaller;
    }
  }

  function first(): Entry | undefined {
    for (let entry = heap[0]; entry !== undefined; entry = heap[0]) {
      if (current.get(entry.key) === entry) return entry;
      pop();
    }
    return undefined;
  }

  return {
    set(key, at) {
      const known = current.get(key);
      if (known !== undefined && known.at <= at) return;
      const entry = { key, at };
      current.set(key, entry);
      if (heap.length > 2 * current.size + SLACK) {
        heap = [...current.values()].sort((a, b) => a.at - b.at);
        return;
      }
      push(entry);
    },
    delete: key => void current.delete(key),
    next: () => first()?.at,
    takeDue(now) {
      const entry = first();
      if (entry === undefined || entry.at > now) return undefined;
      pop();
      current.delete(entry.key);
      return entry.key;
    },
    size: () => current.size,
  };
}
