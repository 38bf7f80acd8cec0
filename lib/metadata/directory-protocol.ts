/**
 * Creating and removing a directory whose entry (on the parent's shard, *p*) and row (on the children's shard, *c*) have
 * no transaction in common: metadata.md §12.8. Written as generators that ask for one atomic step at a time, so that the
 * same lines run against PostgreSQL and under the exhaustive interleaving of the tests. They hold no other state: ids
 * come from `newId`, so that a run can be replayed.
 *
 * The entry is the only truth about existence; the row is a permit to create children, derived from it. A row becomes
 * live only by compare-and-swap on (id, attempt), after the entry was read, or written, *after* the row was pending.
 * `deleting` is never undone.
 */

/** The permit on *c*. */
export interface DirectoryRow {
  readonly dirId: string;
  readonly state: 'pending' | 'live' | 'deleting';
  readonly attempt: string;
}

/** The truth on *p*, as far as the protocol looks at it. */
export type EntrySight =
  | { readonly kind: 'none' }
  | { readonly kind: 'object' }
  /** `expected`: it satisfies what the caller of rmdir expects. */
  | { readonly kind: 'directory'; readonly childDir: string; readonly expected: boolean };

/** Answer of a put; `childDir` is what the entry says now, which is not always what was offered. */
export type PutAnswer =
  | { readonly kind: 'written'; readonly childDir: string }
  | { readonly kind: 'no_directory' | 'precondition' | 'absent' };

export type Step =
  /** On *c*: a pending row, unless the path has one; with `refresh` a pending row of this id gets the new attempt. */
  | { readonly step: 'claim'; readonly dirId: string; readonly attempt: string; readonly refresh: boolean }
  /** On *c*: pending to live. */
  | { readonly step: 'promote'; readonly dirId: string; readonly attempt: string }
  /** On *c*: removes the row if it is still pending with this attempt. */
  | { readonly step: 'withdraw'; readonly dirId: string; readonly attempt: string }
  /** On *c*: an empty directory's row, made if it is missing, becomes `deleting`. */
  | { readonly step: 'mark'; readonly dirId: string; readonly attempt: string }
  /** On *c*: removes a row that is `deleting`. */
  | { readonly step: 'forget'; readonly dirId: string }
  /** On *c*: the row as it is. */
  | { readonly step: 'look' }
  /** On *c*: an implicit root has an entry now. */
  | { readonly step: 'explicit'; readonly dirId: string }
  /** On *p*. */
  | { readonly step: 'read' }
  | { readonly step: 'put'; readonly dirId: string; readonly mustExist: boolean }
  /** On *p*: removes the entry if it still says `dirId`. */
  | { readonly step: 'remove'; readonly dirId: string }
  /** Somebody else is in the middle of something: wait a little. False when the time for that is used up. */
  | { readonly step: 'wait' };

export interface StepAnswers {
  readonly claim: DirectoryRow;
  readonly promote: boolean;
  readonly withdraw: boolean;
  readonly mark:
    | { readonly kind: 'marked' }
    | { readonly kind: 'not_empty' }
    | { readonly kind: 'other'; readonly row: DirectoryRow };
  readonly forget: undefined;
  readonly look: DirectoryRow | undefined;
  readonly explicit: undefined;
  readonly read: EntrySight;
  readonly put: PutAnswer;
  readonly remove: boolean;
  readonly wait: boolean;
}

export type StepAnswer = StepAnswers[Step['step']];
export type Steps<T> = Generator<Step, T, StepAnswer>;
export type NewId = () => string;

function* ask<S extends Step>(step: S): Generator<Step, StepAnswers[S['step']], StepAnswer> {
  return (yield step) as StepAnswers[S['step']];
}

export type MkdirEnd = 'done' | 'no_directory' | 'precondition' | 'busy';

/** Waits after which a row that has not changed counts as left behind rather than in work. */
const PATIENCE = 8;

/**
 * `mayBeImplicit`: the row may be live without an entry, because it is a root's. `patience` is for speed only: without it,
 * many mkdirs of one path would settle each other's rows all the time instead of letting one of them finish.
 */
export function* mkdir(newId: NewId, mayBeImplicit: boolean, patience: number = PATIENCE): Steps<MkdirEnd> {
  let met = { attempt: '', times: 0 };
  for (;;) {
    const dirId = newId();
    const attempt = newId();
    const row = yield* ask({ step: 'claim', dirId, attempt, refresh: false });
    if (row.dirId === dirId) return yield* mkdirClaimed(newId, dirId, attempt);
    if (row.state === 'live') {
      const put = yield* ask({ step: 'put', dirId: row.dirId, mustExist: !mayBeImplicit });
      if (put.kind === 'written') {
        if (mayBeImplicit) yield* ask({ step: 'explicit', dirId: row.dirId });
        return 'done';
      }
      // Absent: it was being removed. Anything else decides.
      if (put.kind !== 'absent') return put.kind;
    } else {
      met = { attempt: row.attempt, times: row.attempt === met.attempt ? met.times + 1 : 0 };
      if (met.times >= patience) yield* settle(newId, row);
    }
    if (!(yield* ask({ step: 'wait' }))) return 'busy';
  }
}

function* mkdirClaimed(newId: NewId, dirId: string, attempt: string): Steps<MkdirEnd> {
  const put = yield* ask({ step: 'put', dirId, mustExist: false });
  if (put.kind !== 'written') {
    yield* ask({ step: 'withdraw', dirId, attempt });
    return put.kind === 'absent' ? 'busy' : put.kind;
  }
  if (put.childDir !== dirId) {
    // The entry was there without a live row: somebody else's directory, half made.
    yield* ask({ step: 'withdraw', dirId, attempt });
    yield* ensureLive(newId, put.childDir);
    return 'done';
  }
  // Our own insert of the entry counts as the read that a promotion needs.
  if (!(yield* ask({ step: 'promote', dirId, attempt }))) yield* ensureLive(newId, dirId);
  return 'done';
}

export type RmdirEnd = 'deleted' | 'absent' | 'is_object' | 'not_empty' | 'precondition' | 'busy';

/** What the caller expects is judged by the entry as read; once the directory is marked, nothing stops its removal. */
export function* rmdir(newId: NewId): Steps<RmdirEnd> {
  for (;;) {
    const entry = yield* ask({ step: 'read' });
    if (entry.kind === 'none') return 'absent';
    if (entry.kind === 'object') return 'is_object';
    if (!entry.expected) return 'precondition';
    const marked = yield* ask({ step: 'mark', dirId: entry.childDir, attempt: newId() });
    if (marked.kind === 'not_empty') return 'not_empty';
    if (marked.kind === 'marked') {
      // Two of us may get here: whoever removes the entry has removed the directory.
      const removed = yield* ask({ step: 'remove', dirId: entry.childDir });
      yield* ask({ step: 'forget', dirId: entry.childDir });
      return removed ? 'deleted' : 'absent';
    }
    if (marked.row.state !== 'live') yield* settle(newId, marked.row);
    if (!(yield* ask({ step: 'wait' }))) return 'busy';
  }
}

/** Finishes what a row says is half done. Anybody may, at any time. */
export function* settle(newId: NewId, row: DirectoryRow): Steps<void> {
  if (row.state === 'pending') yield* ensureLive(newId, row.dirId);
  if (row.state === 'deleting') {
    yield* ask({ step: 'remove', dirId: row.dirId });
    yield* ask({ step: 'forget', dirId: row.dirId });
  }
}

/**
 * What a call that met a directory without a live row does before it tries again: settles the row, or makes the row of
 * an entry that has none. False when there is no such directory.
 */
export function* repair(newId: NewId): Steps<boolean> {
  const row = yield* ask({ step: 'look' });
  if (row !== undefined) {
    if (row.state !== 'live') yield* settle(newId, row);
    return true;
  }
  const entry = yield* ask({ step: 'read' });
  if (entry.kind !== 'directory') return false;
  yield* ensureLive(newId, entry.childDir);
  return true;
}

const ROUNDS = 2;

/** Makes the row of `dirId` live if the entry still says so, and removes it if not. */
export function* ensureLive(newId: NewId, dirId: string, rounds: number = ROUNDS): Steps<void> {
  for (let round = 0; round < rounds; round += 1) {
    const attempt = newId();
    const row = yield* ask({ step: 'claim', dirId, attempt, refresh: true });
    if (row.dirId !== dirId) {
      // Another id's row stands in the way. Only a pending one may go, and only if the entry says that we are right.
      if (row.state !== 'pending') return;
      const entry = yield* ask({ step: 'read' });
      if (entry.kind !== 'directory' || entry.childDir !== dirId) return;
      yield* ask({ step: 'withdraw', dirId: row.dirId, attempt: row.attempt });
      continue;
    }
    if (row.state !== 'pending') return;
    // After our attempt was written: a removal that we do not see here will find, and break, our attempt.
    const entry = yield* ask({ step: 'read' });
    if (entry.kind !== 'directory') {
      yield* ask({ step: 'withdraw', dirId, attempt });
      return;
    }
    if (entry.childDir !== dirId) {
      yield* ask({ step: 'withdraw', dirId, attempt });
      return yield* ensureLive(newId, entry.childDir, rounds - 1);
    }
    if (yield* ask({ step: 'promote', dirId, attempt })) return;
  }
}
