import { Network } from './network.ts';
import { Random } from './random.ts';
import { Life, Scheduler } from './scheduler.ts';
import { SyncCommit, type SyncStandby, type WaitEnd } from './sync-commit.ts';
import { forkOf, nextTimeline, Wal } from './wal.ts';

/** A primary's WAL of commits that are all durable. */
function aWal(commits: number, timeline = 1): Wal {
  const wal = new Wal();
  wal.timeline = timeline;
  for (let value = 1; value <= commits; value += 1) wal.append('commit', 64, value);
  wal.flushed = wal.insertAt;
  return wal;
}

/** A walsender whose standby has flushed so much. */
function aSender(priority: number, flushed: number): SyncStandby {
  return { isStreaming: true, priority, flushed };
}

function aWaitingCommit(sync: SyncCommit) {
  const record = aWal(1).records[0];
  if (record === undefined) throw new Error('there is no record');
  const ends: WaitEnd[] = [];
  sync.wait(record, 0, how => ends.push(how));
  return { record, ends };
}

test('a connection keeps its order, whatever is cut and slowed in between', async () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = new Random(seed);
    const scheduler = new Scheduler();
    const network = new Network(scheduler, random);
    const connection = network.connect('a', 'b');
    const arrived: unknown[] = [];
    connection.ends[1].onMessage = message => arrived.push(message);
    for (let n = 0; n < 50; n += 1) scheduler.after(random.between(n, n + 1), () => connection.send(0, n));
    for (const at of [5, 15, 25]) {
      scheduler.after(random.between(at, at + 3), () => network.block('a', 'b'));
      scheduler.after(random.between(at, at + 5), () => network.slowDown('b', random.between(0, 20)));
      scheduler.after(random.between(at + 4, at + 8), () => network.unblock('a', 'b'));
    }
    scheduler.after(60, () => network.heal());
    await scheduler.runUntil(200);
    expect(arrived).toEqual(Array.from({ length: 50 }, (_, n) => n));
  }
});

describe('commits that wait for standbys (replication.md §11.6)', () => {
  test('are released as successful when the names turn empty', () => {
    const sync = new SyncCommit(true);
    const { ends } = aWaitingCommit(sync);
    sync.define(false);
    expect(ends).toEqual(['released']);
  });

  test('go on waiting when the names change, until the new standby confirms', () => {
    const sync = new SyncCommit(true);
    const { record, ends } = aWaitingCommit(sync);
    sync.define(true);
    expect(ends).toEqual([]);
    const sender = aSender(1, record.end);
    sync.release(sender, [sender], 1);
    expect(ends).toEqual(['confirmed']);
  });

  test('need all of the names: one of two is not enough', () => {
    const sync = new SyncCommit(true);
    const { record, ends } = aWaitingCommit(sync);
    const old = aSender(2, record.end);
    sync.release(old, [old], 2);
    expect(ends).toEqual([]);
    sync.release(old, [old, aSender(1, record.start)], 2);
    expect(ends).toEqual([]);
  });

  test('are released by two connections of one standby where two are asked for: walsenders count, not names', () => {
    const sync = new SyncCommit(true);
    const { record, ends } = aWaitingCommit(sync);
    const [stale, fresh] = [aSender(2, record.end), aSender(2, record.end)];
    sync.release(fresh, [stale, fresh], 2);
    expect(ends).toEqual(['confirmed']);
  });
});

describe('timelines (replication.md §11.8)', () => {
  test('a promotion takes the first number that no history file is known for, placeholders included (C9)', () => {
    const wal = aWal(1);
    expect(nextTimeline(wal)).toBe(2);
    for (const timeline of [2, 3, 4, 5, 6])
      wal.histories.set(timeline, { timeline, ancestry: [], isPlaceholder: true });
    expect(nextTimeline(wal)).toBe(7);
  });

  test('two histories part where the older one ended in the other', () => {
    const old = aWal(3);
    const fork = old.records[1]?.end ?? 0;
    const successor = new Wal();
    successor.copyFrom(old);
    successor.cutAt(fork);
    successor.followTo(2, [{ timeline: 1, end: fork }]);
    expect(forkOf(old, successor)).toBe(fork);
  });
});

test('two timelines that began at one position part there', () => {
  const [a, b] = [aWal(2), aWal(2)];
  const fork = a.insertAt;
  a.followTo(2, [{ timeline: 1, end: fork }]);
  b.followTo(3, [{ timeline: 1, end: fork }]);
  expect(forkOf(a, b)).toBe(fork);
});

describe('WAL', () => {
  test('a record that is durable in part is none, and its place is written anew', () => {
    const primary = aWal(2);
    const partial = primary.append('filler', 10_000);
    primary.flushed = partial.start + 4_096;
    const standby = new Wal();
    standby.receive(primary.records, primary.flushed);
    expect(standby.completeEnd).toBe(partial.start);
    expect(standby.recordAt(partial.start)).toBeUndefined();
    primary.loseUnflushed();
    primary.dropPartialTail();
    const other = primary.append('commit', 64, 3);
    primary.flushed = primary.insertAt;
    standby.receive([other], primary.flushed);
    expect(standby.holds(other)).toBe(true);
    expect(standby.records).not.toContain(partial);
  });

  test('what was not durable is gone after a crash', () => {
    const wal = aWal(2);
    const lost = wal.append('commit', 64, 3);
    wal.loseUnflushed();
    expect(wal.records).not.toContain(lost);
    expect(wal.completeEnd).toBe(lost.start);
  });
});

describe('lives', () => {
  test('what a process waited for never comes back once it has ended', async () => {
    const scheduler = new Scheduler();
    const life = new Life(scheduler);
    let woke = false;
    void life.sleep(10).then(() => {
      woke = true;
    });
    scheduler.after(5, () => life.end());
    await scheduler.runUntil(100);
    expect(woke).toBe(false);
  });

  test('a paused process does everything it missed when it goes on, in order', async () => {
    const scheduler = new Scheduler();
    const life = new Life(scheduler);
    const done: string[] = [];
    for (const [ms, name] of [
      [20, 'second'],
      [10, 'first'],
    ] as const) {
      life.after(ms, () => done.push(`${name} at ${scheduler.now}`));
    }
    life.pause();
    scheduler.after(50, () => life.resume());
    await scheduler.runUntil(100);
    expect(done).toEqual(['first at 50', 'second at 50']);
  });

  test('a clock that runs fast sleeps shorter', async () => {
    const scheduler = new Scheduler();
    const life = new Life(scheduler, { startedAt: 1_000, rate: 2 });
    let wokeAt = 0;
    void life.sleep(10).then(() => {
      wokeAt = scheduler.now;
    });
    await scheduler.runUntil(100);
    expect(wokeAt).toBe(5);
    expect(life.now()).toBe(1_200);
  });
});

test('chance repeats with its seed, and parts of the world have chances of their own', () => {
  const three = (random: Random) => [random.next(), random.next(), random.next()];
  expect(three(new Random(1))).toEqual(three(new Random(1)));
  expect(three(new Random(1).fork('a'))).toEqual(three(new Random(1).fork('a')));
  expect(three(new Random(1).fork('a'))).not.toEqual(three(new Random(1).fork('b')));
});
