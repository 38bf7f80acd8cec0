import { mkdirSync, readdirSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { eventually } from '../../../lib/eventually/eventually.ts';
import { systemClock } from '../../../lib/lifecycle/clock.ts';
import { createChain, createTestPlace, noSettings, standbyOf, type TestPeer, type TestPlace } from '../pg/testing.ts';
import { type Backups, backupTimes, startBackups } from './backups.ts';
import { listBases } from './catalogue.ts';
import { baseContent } from './names.ts';
import { openTarget } from './open-target.ts';
import type { BackupTarget } from './target.ts';
import type { BackupWish } from './wish.ts';

const soon = () => AbortSignal.timeout(40_000);

let place: TestPlace;
let running: Backups[] = [];
beforeAll(async () => {
  place = await createTestPlace();
}, 60_000);
afterEach(async () => {
  await Promise.all(running.map(backups => backups.stop()));
  running = [];
  await place.clear();
});
afterAll(() => place.remove());

let targets = 0;
function newTarget(): BackupTarget {
  const directory = join(place.dir, `target${++targets}`);
  mkdirSync(directory);
  return openTarget(directory);
}

/** What a sitter whose peer is to make backups would wish, as its server is now. */
async function wishOf(peer: TestPeer, target: BackupTarget): Promise<BackupWish | undefined> {
  const { directory, answered } = await peer.server.observe();
  if (directory.kind !== 'usable' || answered === undefined) return undefined;
  const { timeline, ancestry } = answered;
  return {
    target: target.url,
    recoveryDays: 7,
    system: { systemId: directory.systemId, pgMajor: directory.pgMajor },
    incarnation: directory.incarnation,
    path: { timeline, ancestry },
  };
}

/** Backups of a peer, in a hurry. */
async function backUp(
  peer: TestPeer,
  target: BackupTarget,
  change: Partial<typeof backupTimes> = {},
): Promise<Backups> {
  let wish = await wishOf(peer, target);
  const backups = startBackups(
    {
      logger: pino({ level: 'info' }, pino.destination({ dest: join(place.dir, 'backups.log'), sync: true })),
      clock: systemClock,
      site: peer.server.site,
      open: openTarget,
      peer: peer.endpoint.id,
      wish: () => {
        void wishOf(peer, target).then(found => {
          wish = found;
        });
        return wish;
      },
    },
    { ...backupTimes, everyMs: 50, partialMs: 200, retryMs: 100, baseRetryMs: 500, ...change },
  );
  running.push(backups);
  return backups;
}

/** Whatever was committed by now is archived. */
async function archived(backups: Backups): Promise<void> {
  const at = performance.now();
  await eventually(() => {
    const age = backups.status()?.archivedAgeSeconds;
    return age !== undefined && performance.now() - age * 1_000 > at + 500;
  }, 15_000);
}

async function based(target: BackupTarget, count = 1): Promise<void> {
  await eventually(async () => (await listBases(target, soon())).length >= count, 30_000);
}

const rows = async (peer: TestPeer) =>
  (await peer.sql.query<{ n: number }>('SELECT n FROM kept ORDER BY n')).map(({ n }) => n);

/** Another peer, made of what the target holds. */
async function restored(target: BackupTarget, until?: string): Promise<TestPeer> {
  const peer = await place.empty(`restored-${until === undefined ? 'end' : 'time'}`);
  peer.adopt(await peer.server.restore(target.url, until, soon()));
  const { directory } = await peer.server.observe();
  expect(directory).toMatchObject({ kind: 'usable', isClean: true, wasStandby: false });
  await peer.start(noSettings);
  await peer.sees(view => view.answered?.inRecovery === false);
  return peer;
}

it('a restore has everything that was archived, or what there was at a time', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  await p.start(noSettings);
  await p.sees(view => view.answered);
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  const backups = await backUp(p, target);
  await based(target);
  await p.sql.query('INSERT INTO kept VALUES (2)');
  const [moment] = await p.sql.query<{ at: string }>(
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at`,
  );
  await p.sql.query('INSERT INTO kept VALUES (3)');
  await archived(backups);
  await p.sql.query('SELECT pg_switch_wal()');
  // Of the file in progress, too.
  await p.sql.query('INSERT INTO kept VALUES (4)');
  await archived(backups);
  expect(backups.status()).toMatchObject({ failure: undefined, baseFailure: undefined, doing: 'archive' });

  const all = await restored(target);
  expect(await rows(all)).toEqual([1, 2, 3, 4]);
  expect((await all.server.observe()).answered?.timeline).toBe(2);
  expect(await rows(await restored(target, moment?.at))).toEqual([1, 2]);
}, 120_000);

it('a standby archives, and when it is promoted the archive goes on without a hole, by whoever makes it', async () => {
  const { p, s, a } = await createChain(place);
  const target = newTarget();
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  const first = await backUp(a, target);
  await based(target);
  await p.sql.query('INSERT INTO kept VALUES (2)');
  await p.sql.query('SELECT pg_switch_wal()');
  await p.sql.query('INSERT INTO kept VALUES (3)');
  await archived(first);

  // A takeover: what was the tail goes on below the new primary, on a timeline whose number left some out.
  await p.server.stop('kill', soon());
  await s.start({ ...standbyOf(p, { ssn: ['peer-2'] }), upstream: undefined }).catch(() => {});
  await s.server.placePlaceholders(4);
  await s.server.promote();
  await s.sees(view => view.answered?.timeline === 4, 15_000);
  await s.configure({ ...noSettings, ssn: [] });
  await a.sees(view => view.answered?.timeline === 4 && view.answered.isStreaming, 15_000);
  await s.sql.query('INSERT INTO kept VALUES (4)');
  await archived(first);
  expect(first.status()?.archivedThrough).toMatch(/^4: /);

  // And the tail is lost: the primary itself goes on, from where the archive ends.
  await first.stop();
  await a.server.stop('kill', soon());
  await s.sql.query('INSERT INTO kept VALUES (5)');
  await s.sql.query('SELECT pg_switch_wal()');
  await s.sql.query('INSERT INTO kept VALUES (6)');
  const second = await backUp(s, target);
  await archived(second);
  expect(await listBases(target, soon())).toHaveLength(1);
  await second.stop();

  const after = await restored(target);
  expect(await rows(after)).toEqual([1, 2, 3, 4, 5, 6]);
  expect((await after.server.observe()).answered?.timeline).toBe(5);
}, 120_000);

it('a base backup that was interrupted does not count, and its peer leaves nothing behind on the server', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  await p.start(noSettings);
  await p.sees(view => view.answered);
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  const slow = await backUp(p, target, { maxRateKb: 32 });
  await eventually(async () => (await p.sql.query('SELECT FROM pg_stat_progress_basebackup')).length === 1, 15_000);
  slow.letGo();
  // Neither is waited for by a server that stops.
  await eventually(async () => (await p.sql.query('SELECT FROM pg_stat_replication')).length === 0, 2_500);
  await slow.stop();
  expect(await listBases(target, soon())).toEqual([]);
  await expect(p.server.restore(target.url, undefined, soon())).rejects.toMatchObject({ code: 'BackupMissing' });
}, 60_000);

it('WAL that was gone before it was archived is a gap, and the archive begins anew with a base backup', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  const small = { ...noSettings.parameters, wal_keep_size: '0', min_wal_size: '32MB', max_wal_size: '32MB' };
  await p.start({ ...noSettings, parameters: small });
  await p.sees(view => view.answered);
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  const before = await backUp(p, target);
  await based(target);
  await before.stop();
  // The receiver has ended, but its sender on the server may hold the slot a moment longer.
  await eventually(() => p.sql.query(`SELECT pg_drop_replication_slot('wal_archive')`), 15_000);
  for (let n = 2; n < 6; n += 1) {
    await p.sql.query(`INSERT INTO kept VALUES (${n})`);
    await p.sql.query('SELECT pg_switch_wal()');
    await p.server.checkpoint();
  }
  const after = await backUp(p, target);
  await based(target, 2);
  expect(after.status()).toMatchObject({ failure: undefined });
  expect(await rows(await restored(target))).toEqual([1, 2, 3, 4, 5]);
}, 90_000);

it('a target that is away costs no more than a few files, and is caught up with when it is back', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  const directory = fileURLToPath(target.url);
  await p.start(noSettings);
  await p.sees(view => view.answered);
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  const backups = await backUp(p, target, { maxWaiting: 1 });
  await based(target);
  renameSync(directory, `${directory}.away`);
  const fill = async (n: number) => {
    await p.sql.query(`INSERT INTO kept VALUES (${n})`);
    await p.sql.query('SELECT pg_switch_wal()');
  };
  const waiting = () => readdirSync(join(p.dir, 'backup')).filter(name => /^[0-9A-F]{24}$/.test(name)).length;
  for (const n of [2, 3, 4]) await fill(n);
  await eventually(async () => (await p.sql.query('SELECT FROM pg_stat_replication')).length === 0, 15_000);
  const before = waiting();
  for (const n of [5, 6]) await fill(n);
  await eventually(() => backups.status()?.failure, 15_000);
  expect(waiting()).toBe(before);
  renameSync(`${directory}.away`, directory);
  await archived(backups);
  expect(backups.status()?.failure).toBeUndefined();
  expect(await listBases(target, soon())).toHaveLength(1);
  expect(await rows(await restored(target))).toEqual([1, 2, 3, 4, 5, 6]);
}, 90_000);

it('a peer that is to make no backups any more leaves nothing on its server that keeps WAL', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  await p.start(noSettings);
  await p.sees(view => view.answered);
  const slots = () => p.sql.query('SELECT slot_name FROM pg_replication_slots');
  let isWished = true;
  const wish = await wishOf(p, target);
  const backups = startBackups(
    {
      logger: pino({ level: 'silent' }),
      clock: systemClock,
      site: p.server.site,
      open: openTarget,
      peer: 'p-0',
      wish: () => (isWished ? wish : undefined),
    },
    { ...backupTimes, everyMs: 50, partialMs: 200, graceMs: 500 },
  );
  running.push(backups);
  await eventually(async () => (await slots()).length === 1, 10_000);
  isWished = false;
  await eventually(async () => (await slots()).length === 0, 10_000);
  expect(backups.status()).toBeUndefined();
}, 60_000);

it('a base backup that was damaged in the target is not restored, and a volume keeps nothing of it', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  await p.start(noSettings);
  await p.sees(view => view.answered);
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  await backUp(p, target);
  await based(target);
  const [base] = await listBases(target, soon());
  const file = join(fileURLToPath(target.url), baseContent(base?.name ?? ''));
  truncateSync(file, Math.floor(statSync(file).size / 2));
  const peer = await place.empty('restored');
  await expect(peer.server.restore(target.url, undefined, soon())).rejects.toThrow();
  expect(readdirSync(join(peer.dir, 'pg'))).toEqual([]);
}, 60_000);

it('a file of WAL that cannot be read ends the restore: it is not taken for the end of the archive', async () => {
  const p = await place.copy('p-0');
  const target = newTarget();
  await p.start(noSettings);
  await p.sees(view => view.answered);
  await p.sql.query('CREATE TABLE kept AS SELECT 1 AS n');
  const backups = await backUp(p, target);
  await based(target);
  await p.sql.query('SELECT pg_switch_wal()');
  await p.sql.query('INSERT INTO kept VALUES (2)');
  await archived(backups);
  await backups.stop();
  const wal = join(fileURLToPath(target.url), 'wal', '0000000100000000');
  const first = readdirSync(wal).sort()[0] ?? '';
  writeFileSync(join(wal, first), 'no such thing');
  const peer = await place.empty('restored');
  const giveUp = AbortSignal.timeout(6_000);
  await expect(peer.server.restore(target.url, undefined, giveUp)).rejects.toThrow();
  expect(readdirSync(join(peer.dir, 'pg'))).toEqual([]);
  expect((await peer.server.observe()).process).toEqual({ kind: 'none' });
}, 60_000);
