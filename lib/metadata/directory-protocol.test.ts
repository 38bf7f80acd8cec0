import {
  ensureLive,
  mkdir,
  type NewId,
  repair,
  rmdir,
  type Step,
  type StepAnswer,
  type Steps,
} from './directory-protocol.ts';

/**
 * The protocol's own generators under every interleaving of their steps: a world is one directory's row, its entry and
 * whether it has a child; an actor is a generator that is replayed from the answers it has had so far.
 */

interface World {
  readonly row?: { readonly dirId: string; readonly state: 'pending' | 'live' | 'deleting'; readonly attempt: string };
  /** The id that the directory's entry names. */
  readonly entry?: string;
  /** The id of the directory in which a child lives. */
  readonly child?: string;
}

/** A rule that is left out, to see that the checker notices. */
type Defect = 'no attempt nonce' | 'no re-read';

type Actor = (newId: NewId) => Steps<unknown>;

/** Where an actor stands: what it asks for next, and where each answer leads. Shared by all states, so it compares by id. */
interface Position {
  readonly id: number;
  readonly history: readonly StepAnswer[];
  /** Ids that the actor had used up where its history begins, and has used up now. */
  readonly idsBefore: number;
  readonly idsNow: number;
  readonly waits: number;
  readonly next: IteratorResult<Step, unknown>;
  readonly after: Map<string, Position>;
}

type Perform = (world: World, step: Step, position: Position) => [World, StepAnswer];

function performer(defect?: Defect): Perform {
  return (world, step, position) => {
    const { row, entry, child } = world;
    const mine = (dirId: string, attempt: string) =>
      row?.dirId === dirId && (defect === 'no attempt nonce' || row.attempt === attempt);
    switch (step.step) {
      case 'claim': {
        const pending = { dirId: step.dirId, state: 'pending', attempt: step.attempt } as const;
        const refreshes = step.refresh && row?.dirId === step.dirId && row.state === 'pending';
        return row === undefined || refreshes ? [{ ...world, row: pending }, pending] : [world, row];
      }
      case 'promote':
        if (row === undefined || !mine(step.dirId, step.attempt) || row.state === 'deleting') return [world, false];
        return [{ ...world, row: { ...row, state: 'live' } }, true];
      case 'withdraw':
        if (!mine(step.dirId, step.attempt) || row?.state !== 'pending') return [world, false];
        return [without(world, 'row'), true];
      case 'mark': {
        if (row !== undefined && row.dirId !== step.dirId) return [world, { kind: 'other', row }];
        if (child === step.dirId) return [world, { kind: 'not_empty' }];
        if (row?.state === 'deleting') return [world, { kind: 'marked' }];
        const marked = { dirId: step.dirId, state: 'deleting', attempt: step.attempt } as const;
        return [{ ...world, row: marked }, { kind: 'marked' }];
      }
      case 'forget':
        return [row?.dirId === step.dirId && row.state === 'deleting' ? without(world, 'row') : world, undefined];
      case 'look':
        return [world, row];
      case 'explicit':
        return [world, undefined];
      case 'read':
        return [world, sight(world, position, defect)];
      case 'put':
        if (entry === undefined && step.mustExist) return [world, { kind: 'absent' }];
        return [
          { ...world, entry: entry ?? step.dirId },
          { kind: 'written', childDir: entry ?? step.dirId },
        ];
      case 'remove':
        return entry === step.dirId ? [without(world, 'entry'), true] : [world, false];
      case 'wait':
        return [world, position.waits < MAX_WAITS];
    }
  };
}

/** Without the re-read, ensure_live takes for granted what it was called for. */
function sight(world: World, position: Position, defect?: Defect): StepAnswer {
  const claimed = position.history.at(-1);
  if (defect === 'no re-read' && typeof claimed === 'object' && 'attempt' in claimed) {
    return { kind: 'directory', childDir: claimed.dirId, expected: true };
  }
  return world.entry === undefined ? { kind: 'none' } : { kind: 'directory', childDir: world.entry, expected: true };
}

function without(world: World, key: keyof World): World {
  const { [key]: _gone, ...rest } = world;
  return rest;
}

/** Creating a child is one transaction under the row's lock, hence one atomic step; so is removing it. */
const createChild = 'create child';
const removeChild = 'remove child';
type Subject = Actor | typeof createChild | typeof removeChild;

const MAX_WAITS = 1;

/** Gives positions, always the same one for the same actor and history. */
function positions(
  subject: Subject,
  name: string,
): { first: Position; after(from: Position, answer: StepAnswer): Position } {
  let count = 0;
  function make(history: readonly StepAnswer[], idsBefore: number, waits: number): Position {
    let idsNow = idsBefore;
    let next: IteratorResult<Step, unknown> = { done: history.length > 0, value: undefined as never };
    if (typeof subject === 'function') {
      const steps = subject(() => `${name}${idsNow++}`);
      next = steps.next();
      for (const answer of history) next = steps.next(answer);
    }
    return { id: count++, history, idsBefore, idsNow, waits, next, after: new Map() };
  }
  const first = make([], 0, 0);
  return {
    first,
    after(from, answer) {
      // After a wait an actor stands where it began, with other ids: its past is of no more consequence.
      const restarts = !from.next.done && from.next.value?.step === 'wait' && answer === true;
      const key = restarts ? 'again' : JSON.stringify(answer ?? null);
      let position = from.after.get(key);
      if (position === undefined) {
        position = restarts
          ? make([], from.idsNow, from.waits + 1)
          : make([...from.history, answer], from.idsBefore, from.waits);
        from.after.set(key, position);
      }
      return position;
    },
  };
}

interface Report {
  readonly states: number;
  readonly violations: ReadonlySet<string>;
  /** The answers of all actors in the interleavings that ran to the end. */
  readonly ends: ReadonlySet<string>;
}

/** Visits every state that any interleaving reaches, a crash of every actor at any step included. */
function explore(start: World, subjects: readonly Subject[], defect?: Defect): Report {
  const perform = performer(defect);
  const actors = subjects.map((subject, i) => positions(subject, `${'abcd'[i]}`));
  const seen = new Set<string>();
  const violations = new Set<string>();
  const ends = new Set<string>();
  const worlds = new Map<string, string | undefined>();
  const stack: { world: World; at: readonly Position[] }[] = [{ world: start, at: actors.map(actor => actor.first) }];
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    const { world, at } = state;
    const worldKey = keyOf(world);
    // A finished actor is finished, however it got there.
    const key = `${worldKey}|${at.map(position => (position.next.done ? String(position.next.value) : position.id))}`;
    if (seen.has(key)) continue;
    seen.add(key);
    // Everybody may be gone from here on: what they leave must heal.
    if (!worlds.has(worldKey)) worlds.set(worldKey, violation(world) ?? unhealed(world, perform));
    const wrong = worlds.get(worldKey);
    if (wrong !== undefined) violations.add(wrong);
    if (violation(world) !== undefined) continue;
    if (at.every(position => position.next.done)) ends.add(at.map(position => position.next.value).join(', '));
    for (const [i, position] of at.entries()) {
      if (position.next.done) continue;
      const [changed, answer] = advance(world, subjects[i] as Subject, position, perform);
      const after = (actors[i] as (typeof actors)[0]).after(position, answer);
      stack.push({ world: changed, at: at.map((other, j) => (j === i ? after : other)) });
    }
  }
  return { states: seen.size, violations, ends };
}

function keyOf({ row, entry, child }: World): string {
  return `${row?.dirId},${row?.state},${row?.attempt},${entry},${child}`;
}

function advance(world: World, subject: Subject, position: Position, perform: Perform): [World, StepAnswer] {
  if (subject === removeChild) return [without(world, 'child'), true];
  if (subject === createChild) {
    return [world.row?.state === 'live' ? { ...world, child: world.row.dirId } : world, true];
  }
  return perform(world, position.next.value as Step, position);
}

function violation(world: World): string | undefined {
  if (world.child !== undefined && world.entry !== world.child) return 'a child without its directory';
  if (world.row?.state === 'live' && world.entry !== world.row.dirId) return 'a live row without its entry';
  return undefined;
}

/** The sweeper, then a request below the directory, with nobody else left. */
function unhealed(start: World, perform: Perform): string | undefined {
  let world = start;
  for (const name of ['sweep', 'request']) {
    const actor = positions(newId => repair(newId), name);
    let position = actor.first;
    for (let steps = 0; !position.next.done; steps += 1) {
      if (steps > 50) return 'a repair that does not end';
      const [changed, answer] = perform(world, position.next.value, position);
      world = changed;
      position = actor.after(position, answer);
    }
  }
  const wrong = violation(world);
  if (wrong !== undefined) return `healing that leads to ${wrong}`;
  if (world.row !== undefined && world.row.state !== 'live') return `a row that stays ${world.row.state}`;
  return world.row?.dirId === world.entry ? undefined : 'row and entry that stay apart';
}

const live: World = { row: { dirId: 'X', state: 'live', attempt: 'x' }, entry: 'X' };
const make: Actor = newId => mkdir(newId, false, 0);
const remove: Actor = newId => rmdir(newId);
const fix: Actor = newId => repair(newId);
const ensure: Actor = newId => ensureLive(newId, 'X');

const starts: Record<string, World> = {
  empty: {},
  live,
  'abandoned while pending': { row: { dirId: 'X', state: 'pending', attempt: 'x' } },
  'abandoned while deleting': { row: { dirId: 'X', state: 'deleting', attempt: 'x' }, entry: 'X' },
  'half made': { row: { dirId: 'X', state: 'pending', attempt: 'x' }, entry: 'X' },
  dangling: { entry: 'X' },
};

const scenarios: readonly { name: string; subjects: readonly Subject[]; from: readonly (keyof typeof starts)[] }[] = [
  { name: 'mkdir and mkdir', subjects: [make, make], from: Object.keys(starts) },
  { name: 'mkdir, rmdir and create child', subjects: [make, remove, createChild], from: Object.keys(starts) },
  { name: 'mkdir and repair', subjects: [make, fix], from: Object.keys(starts) },
  { name: 'rmdir, repair and create child', subjects: [remove, fix, createChild], from: Object.keys(starts) },
  {
    name: 'rmdir, create child, remove child',
    subjects: [remove, createChild, removeChild],
    from: ['live', 'dangling'],
  },
  {
    name: 'mkdir, mkdir and rmdir',
    subjects: [make, make, remove],
    from: ['empty', 'live', 'half made', 'abandoned while pending'],
  },
  { name: 'rmdir, rmdir and mkdir', subjects: [remove, remove, make], from: ['empty', 'live', 'half made'] },
  { name: 'rmdir and two ensure_live', subjects: [remove, ensure, ensure], from: Object.keys(starts) },
];

describe('creating and removing a directory across shards', () => {
  for (const { name, subjects, from } of scenarios) {
    it.each(from)(`keeps its promises in every interleaving of ${name}, starting %s`, start => {
      const { states, violations } = explore(starts[start] as World, subjects);
      expect([...violations]).toEqual([]);
      expect(states).toBeGreaterThan(1);
    });
  }

  it('breaks its promises when the attempt nonce is left out, and the checker notices', () => {
    const { violations } = explore(starts['half made'] as World, [remove, ensure, ensure], 'no attempt nonce');
    expect(violations).toContain('a live row without its entry');
  });

  it('breaks its promises when ensure_live does not read the entry again, and the checker notices', () => {
    const { violations } = explore(live, [remove, ensure], 'no re-read');
    expect(violations).toContain('a live row without its entry');
  });

  it('answers mkdirs of one path with success, or lets them wait for one another', () => {
    const { ends } = explore({}, [make, make]);
    expect(ends).toContain('done, done');
    for (const end of ends) expect(end).toMatch(/^(done, done|done, busy|busy, done)$/);
  });

  it('lets exactly one of two rmdirs remove the directory', () => {
    expect([...explore(live, [remove, remove]).ends].sort()).toEqual(['absent, deleted', 'deleted, absent']);
  });
});
