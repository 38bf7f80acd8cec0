import { pino } from 'pino';
import { peerRecordSchema } from '../../lib/shard/records.ts';
import { createOwnRecord, type RecordFacts } from './own-record.ts';
import { aSnapshot, end } from './testing/a-snapshot.ts';

const base = aSnapshot();

let time: number;
let writes: number;
let succeeds: boolean;

beforeEach(() => {
  time = 0;
  writes = 0;
  succeeds = true;
});

function facts(change: Partial<RecordFacts> = {}): RecordFacts {
  return { local: base.local, server: base.server, health: 'ok', progress: undefined, rule: undefined, ...change };
}

function at(bytes: number): RecordFacts {
  const { answered } = base.server;
  if (answered === undefined) throw new Error('the builder makes a running server');
  return facts({ server: { ...base.server, answered: { ...answered, flushed: end(bytes) } } });
}

function aRecord() {
  const logger = pino({ level: 'silent' });
  const write = async () => {
    writes += 1;
    return succeeds;
  };
  return createOwnRecord({ logger, now: () => time, write }, base.me, facts());
}

type Kept = ReturnType<typeof aRecord>;
const written = (record: Kept) => peerRecordSchema.parse(JSON.parse(record.value()));

test('it says who and how this peer is', () => {
  expect(written(aRecord())).toEqual({
    ...base.me,
    incarnation: 'life-0',
    status: 'active',
    statusGeneration: 4,
    systemId: base.local.systemId,
    timeline: 3,
    walEnd: '0/5000000',
    rewindable: true,
    health: 'ok',
    local: base.local.highWater,
  });
});

test('what is true still is not written again', () => {
  const record = aRecord();
  record.show(facts());
  time = 60_000;
  record.show(facts());
  expect(writes).toBe(0);
});

test('another directory is written at once', () => {
  const record = aRecord();
  record.show(facts({ local: { ...base.local, incarnation: 'life-9' } }));
  expect(writes).toBe(1);
});

test('how a peer is, is written soon, and positions after five seconds', () => {
  const record = aRecord();
  record.show(facts({ health: 'disk-full' }));
  time = 299;
  record.show(facts({ health: 'disk-full' }));
  expect(writes).toBe(0);
  time = 300;
  record.show(facts({ health: 'disk-full' }));
  expect(writes).toBe(1);
  time = 4_000;
  record.show({ ...at(100), health: 'disk-full' });
  expect(writes).toBe(1);
  expect(written(record).walEnd).toBe('0/5000000');
  time = 6_000;
  record.show({ ...at(100), health: 'disk-full' });
  expect(writes).toBe(2);
  expect(written(record).walEnd).toBe('0/5000064');
});

test('what passes in a moment is not written, and does not count for what comes later', () => {
  const record = aRecord();
  record.show(facts({ health: 'starting' }));
  time = 200;
  record.show(facts());
  time = 400;
  record.show(facts({ health: 'starting' }));
  time = 600;
  record.show(facts({ health: 'starting' }));
  expect(writes).toBe(0);
});

test('a status takes along what was not written yet', async () => {
  const record = aRecord();
  record.show(facts({ health: 'starting' }));
  await record.set({ status: 'leaving' });
  expect(written(record)).toMatchObject({ status: 'leaving', health: 'starting' });
});

test('the first record with the new timeline forbids rewinds', () => {
  const record = aRecord();
  record.forbidRewind();
  const { answered } = base.server;
  if (answered === undefined) throw new Error('the builder makes a running server');
  record.show(facts({ server: { ...base.server, answered: { ...answered, timeline: 4 } } }));
  time = 300;
  record.show(facts({ server: { ...base.server, answered: { ...answered, timeline: 4 } } }));
  expect(written(record)).toMatchObject({ timeline: 4, rewindable: false });
});

test.each(['abdicating', 'handed-off'] as const)('while it says %s only a new status is written', async status => {
  const record = aRecord();
  await record.set({ status, statusGeneration: 4 });
  const sealed = record.value();
  time = 10_000;
  record.show({ ...at(100), health: 'crash-loop' });
  await record.set({ rewindable: true });
  expect(record.value()).toBe(sealed);
  await record.set({ status: 'active' });
  expect(written(record)).toMatchObject({ status: 'active', health: 'crash-loop' });
});

test('what could not be written is an error, stands nevertheless, and can be tried again', async () => {
  const record = aRecord();
  succeeds = false;
  await expect(record.set({ status: 'abdicating' })).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
  expect(record.status).toBe('abdicating');
  await expect(record.set({ status: 'abdicating' })).rejects.toMatchObject({ code: 'CoordinatorUnavailable' });
  succeeds = true;
  await record.set({ status: 'abdicating' });
});

test('the position of a hand-over goes with it', async () => {
  const record = aRecord();
  await record.set({ status: 'handoff' });
  await record.set({ status: 'handed-off', handedOffAt: '0/6000000' });
  expect(written(record).handedOffAt).toBe('0/6000000');
  await record.set({ status: 'active' });
  expect(written(record).handedOffAt).toBeUndefined();
});

test('it remembers since when its status stands, and when an offer was taken back', async () => {
  const record = aRecord();
  time = 1_000;
  await record.set({ status: 'leaving' });
  time = 2_000;
  await record.set({ status: 'active' });
  expect([record.statusSince, record.withdrewAt]).toEqual([2_000, undefined]);
  await record.set({ status: 'abdicating' });
  time = 3_000;
  await record.set({ status: 'active' });
  expect([record.statusSince, record.withdrewAt]).toEqual([3_000, 3_000]);
});

test('an offer that was accepted has not been taken back', async () => {
  const record = aRecord();
  await record.set({ status: 'handed-off', statusGeneration: 4, handedOffAt: '0/6000000' });
  await record.set({ status: 'active', statusGeneration: 5 });
  expect(record.withdrewAt).toBeUndefined();
});
