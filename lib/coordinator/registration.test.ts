import pino from 'pino';
import { createMemoryCoordinator, EXPIRY_LATE_MS, type MemoryCoordinator, type MemoryFault } from './memory.ts';
import { type Registration, register } from './registration.ts';
import { createStore, type Store } from './store.ts';
import { createFakeTime, type FakeTime } from './testing.ts';

const logger = pino({ level: 'silent' });
const KEY = '/shards/1/peers/a';

interface Peer {
  readonly client: MemoryCoordinator;
  readonly registration: Registration;
  record: object;
}

let time: FakeTime;
let store: Store;
let peers: Peer[];

beforeEach(() => {
  time = createFakeTime();
  store = createStore();
  time.onStep(now => store.expire(now - EXPIRY_LATE_MS));
  peers = [];
});
afterEach(async () => {
  for (const { client, registration } of peers) {
    const released = registration.release();
    await time.pass(1_000);
    await released;
    await client.close();
  }
});

function aPeer(session: string): Peer {
  const deps = { clock: time.clock, sleep: time.sleep };
  const client = createMemoryCoordinator({ ...deps, store });
  const record = { session };
  const peer: Peer = {
    client,
    record,
    registration: register({ ...deps, logger }, client, {
      key: KEY,
      session,
      value: () => JSON.stringify(peer.record),
    }),
  };
  peers.push(peer);
  return peer;
}

function befall(peer: Peer, fault: MemoryFault, ...operations: string[]): void {
  peer.client.faults.befall = operation => (operations.length === 0 || operations.includes(operation) ? fault : 'none');
}

function isRegistered({ registration }: Peer): boolean {
  return registration.isValid() && registration.createRevision() === store.get(KEY)?.createRevision;
}

describe('register', () => {
  it('creates the key, bound to a lease, and keeps it', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    expect(isRegistered(peer)).toBe(true);
    const first = store.get(KEY);
    expect(first).toMatchObject({ value: '{"session":"one"}', lease: expect.any(String) });
    await time.pass(60_000);
    expect(isRegistered(peer)).toBe(true);
    expect(store.get(KEY)).toEqual(first);
  });

  it('counts from the moment the last renewal was sent, and not beyond three quarters of the TTL', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    peer.client.faults.delayMs = 200;
    await time.pass(510);
    // The one of 500 ms is under way; from here on none is answered.
    befall(peer, 'request-lost');
    await time.pass(1_489);
    expect(peer.registration.isValid()).toBe(true);
    await time.pass(1);
    expect(peer.registration.isValid()).toBe(false);
    expect(peer.registration.createRevision()).toBeUndefined();
  });

  it('registers anew after it lapsed: over its own key while that stands, else as if for the first time', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    const first = store.get(KEY);
    befall(peer, 'request-lost');
    await time.pass(1_600);
    expect(peer.registration.isValid()).toBe(false);
    befall(peer, 'none');
    await time.pass(400);
    expect(isRegistered(peer)).toBe(true);
    expect(store.get(KEY)).toMatchObject({ createRevision: first?.createRevision });
    expect(store.get(KEY)?.lease).not.toBe(first?.lease);
    befall(peer, 'refused');
    await time.pass(10_000);
    expect(store.get(KEY)).toBeUndefined();
    befall(peer, 'none');
    await time.pass(500);
    expect(isRegistered(peer)).toBe(true);
    expect(store.get(KEY)?.createRevision).toBeGreaterThan(first?.createRevision ?? 0);
  });

  it('lets one of two processes with one id count, and the other follow when the first is gone', async () => {
    const first = aPeer('one');
    await time.pass(0);
    const second = aPeer('two');
    for (let i = 0; i < 50; i += 1) {
      await time.pass(100);
      expect([first, second].map(peer => peer.registration.isValid())).toEqual([true, false]);
    }
    expect(second.registration.blockedBy()).toBe('one');
    const released = first.registration.release();
    await time.pass(500);
    await released;
    expect(isRegistered(second)).toBe(true);
    expect(second.registration.blockedBy()).toBeUndefined();
  });

  it('never lets both count, whatever the first one is cut off from', async () => {
    const first = aPeer('one');
    await time.pass(0);
    const second = aPeer('two');
    befall(first, 'request-lost');
    for (let i = 0; i < 100; i += 1) {
      await time.pass(50);
      expect(first.registration.isValid() && second.registration.isValid()).toBe(false);
    }
    expect(isRegistered(second)).toBe(true);
    befall(first, 'none');
    await time.pass(5_000);
    expect([first, second].map(peer => peer.registration.isValid())).toEqual([false, true]);
  });

  it('replaces a session known to be dead by a key of its own, with another creation revision', async () => {
    const dead = aPeer('one');
    await time.pass(0);
    const before = store.get(KEY)?.createRevision ?? 0;
    befall(dead, 'request-lost');
    const next = aPeer('two');
    await time.pass(0);
    expect(next.registration.isValid()).toBe(false);
    void next.registration.replaceSession('one');
    await time.pass(0);
    expect(isRegistered(next)).toBe(true);
    expect(store.get(KEY)?.createRevision).toBeGreaterThan(before);
    const third = aPeer('three');
    void third.registration.replaceSession('one');
    await time.pass(1_000);
    expect(third.registration.isValid()).toBe(false);
  });

  it('writes the record when told, bound to its lease', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    const { lease, createRevision } = store.get(KEY) ?? {};
    peer.record = { session: 'one', health: 'ok' };
    const updated = peer.registration.update();
    await time.pass(0);
    expect(await updated).toBe(true);
    expect(store.get(KEY)).toMatchObject({ value: '{"session":"one","health":"ok"}', lease, createRevision });
  });

  it('says that an update cannot be vouched for when nobody answers', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    befall(peer, 'refused');
    const updated = peer.registration.update();
    await time.pass(0);
    expect(await updated).toBe(false);
  });

  it('recognises its own key when the reply to its creation was lost', async () => {
    const peer = aPeer('one');
    befall(peer, 'reply-lost', 'commit');
    await time.pass(1_000);
    expect(isRegistered(peer)).toBe(true);
    expect(store.revision).toBe(2);
  });

  it('creates the key again when somebody deleted it', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    const before = peer.registration.createRevision() ?? 0;
    store.commit({ compare: [], operations: [{ delete: KEY }] });
    await time.pass(500);
    expect(isRegistered(peer)).toBe(true);
    expect(peer.registration.createRevision()).toBeGreaterThan(before);
  });

  it('keeps renewing while reads and writes of the record hang', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    befall(peer, 'request-lost', 'read', 'commit');
    for (let i = 0; i < 50; i += 1) {
      await time.pass(100);
      expect(isRegistered(peer)).toBe(true);
    }
  });

  it('leaves no key behind when it is released', async () => {
    const peer = aPeer('one');
    await time.pass(0);
    const released = peer.registration.release();
    await time.pass(0);
    await released;
    expect(store.get(KEY)).toBeUndefined();
    await time.pass(5_000);
    expect(store.get(KEY)).toBeUndefined();
    expect(peer.registration.isValid()).toBe(false);
  });
});
