import pino from 'pino';
import { type FollowedRead, followPrefix, type PrefixView } from './follow-prefix.ts';
import { createMemoryCoordinator, type MemoryCoordinator } from './memory.ts';
import { createStore, type Store } from './store.ts';
import { createFakeTime, type FakeTime } from './testing.ts';

let time: FakeTime;
let store: Store;
let client: MemoryCoordinator;
let view: PrefixView;
let heard: FollowedRead[];
let reads: number;

beforeEach(async () => {
  time = createFakeTime();
  store = createStore();
  client = createMemoryCoordinator({ store, clock: time.clock, sleep: time.sleep });
  reads = 0;
  client.faults.befall = operation => {
    if (operation === 'read') reads += 1;
    return 'none';
  };
  view = followPrefix({ logger: pino({ level: 'silent' }), clock: time.clock, sleep: time.sleep }, client, '/a/');
  await time.pass(0);
  heard = [];
  view.onChange(read => heard.push(read));
});
afterEach(async () => {
  const closed = view.close();
  await time.pass(0);
  await closed;
  await client.close();
});

function put(key: string, value: string): void {
  store.commit({ compare: [], operations: [{ put: key, value }] });
}

function values(read = view.current()): (string | undefined)[] | undefined {
  return read?.entries.map(entry => `${entry.key}=${entry.value}`);
}

describe('followPrefix', () => {
  it('knows the contents soon after it was made and after each change', async () => {
    expect(values()).toEqual([]);
    put('/a/x', '1');
    put('/b/x', 'other');
    await time.pass(0);
    expect(values()).toEqual(['/a/x=1']);
    put('/a/x', '2');
    await time.pass(0);
    expect(values()).toEqual(['/a/x=2']);
    expect(heard.map(values)).toEqual([['/a/x=1'], ['/a/x=2']]);
  });

  it('finds within a second what the watch missed', async () => {
    await time.pass(0);
    client.faults.watchIsSilent = true;
    put('/a/x', '1');
    await time.pass(999);
    expect(values()).toEqual([]);
    await time.pass(1);
    expect(values()).toEqual(['/a/x=1']);
  });

  it('tells listeners of changes only, and keeps the moment of the last success current', async () => {
    await time.pass(5_500);
    expect(heard).toHaveLength(0);
    expect(view.lastSuccessAt).toBe(5_000);
    client.faults.befall = () => 'refused';
    await time.pass(10_000);
    expect(view.lastSuccessAt).toBe(5_000);
    client.faults.befall = () => 'none';
    await time.pass(250);
    expect(view.lastSuccessAt).toBeGreaterThan(15_000);
  });

  it('reads once for all hints that come while it reads', async () => {
    await time.pass(0);
    client.faults.delayMs = 100;
    const before = reads;
    for (let i = 0; i < 50; i += 1) put('/a/x', String(i));
    await time.pass(50);
    for (let i = 50; i < 100; i += 1) put('/a/x', String(i));
    await time.pass(250);
    expect(reads - before).toBe(2);
    expect(values()).toEqual(['/a/x=99']);
  });

  it('answers a refresh by a read that was sent after it', async () => {
    await time.pass(0);
    client.faults.delayMs = 100;
    client.faults.watchIsSilent = true;
    await time.pass(1_000);
    // One is under way, and arrives after this change; the question comes later still.
    const asked = view.refresh();
    const sentAfter = time.clock.monotonic();
    await time.pass(400);
    expect((await asked).sentAt).toBeGreaterThanOrEqual(sentAfter);
  });

  it('rejects a refresh that nobody answers', async () => {
    await time.pass(0);
    client.faults.befall = () => 'request-lost';
    const asked = view.refresh();
    const outcome = expect(asked).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
    await time.pass(300);
    await outcome;
  });

  it('says that the store went back, until the contents change again', async () => {
    put('/a/x', 'old');
    const copy = store.snapshot();
    put('/a/x', 'new');
    put('/a/y', 'new');
    await time.pass(0);
    expect(view.current()?.wentBack).toBe(false);
    store.restore(copy, time.clock.monotonic());
    await time.pass(3_000);
    expect(values()).toEqual(['/a/x=old']);
    expect(view.current()?.wentBack).toBe(true);
    put('/a/x', 'newer');
    await time.pass(0);
    expect(view.current()?.wentBack).toBe(false);
    expect(heard.map(read => [read.revision, read.wentBack])).toEqual([
      [4, false],
      [2, true],
      [3, false],
    ]);
  });

  it('notices a store that went back and has been written to beyond what was known', async () => {
    put('/a/x', 'old');
    const copy = store.snapshot();
    put('/a/x', 'new');
    await time.pass(0);
    client.faults.watchIsSilent = true;
    store.restore(copy, time.clock.monotonic());
    for (let i = 0; i < 10; i += 1) put('/b/x', String(i));
    await time.pass(1_000);
    expect(view.current()).toMatchObject({ wentBack: true, revision: 12 });
  });

  it('hears nothing more once it is closed', async () => {
    await time.pass(0);
    const closed = view.close();
    put('/a/x', '1');
    await time.pass(5_000);
    await closed;
    expect(heard).toHaveLength(0);
    await expect(view.refresh()).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
  });
});
