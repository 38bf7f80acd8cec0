import { createWriteStream } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { MantaError } from '../../../lib/errors/manta-error.ts';
import { runOrThrow } from '../pg/command.ts';
import type { Directories } from '../pg/directory.ts';
import { replaceFile } from '../pg/durable-file.ts';
import type { Postmaster } from '../pg/postmaster.ts';
import { prepareIncarnation } from '../pg/seed.ts';
import { storedSegments } from './catalogue.ts';
import { decompressed } from './compression.ts';
import {
  baseContent,
  historyPath,
  parseHistoryFile,
  parseSegmentFile,
  type SegmentName,
  segmentPath,
} from './names.ts';
import { startPiped } from './program.ts';
import { recoveryConf } from './recovery-conf.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';
import { type BackupSite, own } from './site.ts';
import type { BackupTarget } from './target.ts';
import { createWalExchange, type WalExchange } from './wal-exchange.ts';

export interface RestoreDeps {
  readonly logger: Logger;
  readonly site: BackupSite;
  readonly directories: Directories;
  readonly postmaster: Postmaster;
  readonly target: BackupTarget;
}

/**
 * Makes an incarnation of a base backup and the WAL behind it, to the end of the archive or up to a time (replication.md
 * §7.3 B2, §11.13): out of recovery, on a timeline of its own, cleanly stopped, and then marked complete. What it leaves
 * on failure and on abort is removed. Throws MantaError `BackupMissing`, `BackupInvalid`, `WrongMajor`, and `PostgresStart`
 * when the replay failed.
 */
export async function restoreBackup(
  deps: RestoreDeps,
  wish: { readonly incarnation: string; readonly until: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { logger, site, directories, target } = deps;
  const plan = await planRestore(target, wish.until, signal);
  const { base, path, hole, system } = plan;
  if (system.pgMajor !== site.binaries.major)
    throw new MantaError('WrongMajor', `the backup is of PostgreSQL ${system.pgMajor}, not ${site.binaries.major}`);
  const facts = { target: target.url, base: base.name, timeline: path.timeline, until: wish.until };
  logger.info(facts, 'restore begins');
  if (hole !== undefined) logger.error({ ...facts, hole }, 'the archive has a hole: nothing behind it is restored');
  const { directory, wal } = await prepareIncarnation({ account: site.account, directories }, wish.incarnation);
  try {
    await extractBase(deps, base.name, { directory, wal }, signal);
    await replay(deps, plan, { directory, until: wish.until }, signal);
    await directories.markComplete(wish.incarnation);
    logger.info(facts, 'restore done');
  } catch (error) {
    await deps.postmaster.stop('kill', AbortSignal.timeout(KILL_MS));
    for (const place of [directory, wal]) if (place) await rm(place, { recursive: true, force: true });
    throw error;
  }
}

const KILL_MS = 60_000;

async function extractBase(
  { site: { account, binaries }, target }: RestoreDeps,
  name: string,
  { directory, wal }: { readonly directory: string; readonly wal: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const content = await target.get(baseContent(name), signal);
  if (content === undefined) throw new MantaError('BackupInvalid', `${baseContent(name)} is not there`);
  const tar = startPiped(account, 'tar', ['--extract', '--file=-', `--directory=${directory}`], signal);
  tar.output.resume();
  // Both have ended before anything is thrown: what is left of the incarnation is removed then.
  const ends = await Promise.allSettled([pipeline(decompressed(content), tar.input, { signal }), tar.ended]);
  const failures = ends.flatMap(end => (end.status === 'rejected' ? [String(end.reason)] : []));
  signal.throwIfAborted();
  if (failures.length > 0)
    throw new MantaError('BackupInvalid', `${baseContent(name)} cannot be unpacked: ${failures.join('; ')}`);
  // Its WAL is the archive's.
  await runOrThrow(account, binaries.path('pg_verifybackup'), ['--exit-on-error', '--no-parse-wal', directory], {
    signal,
  });
  if (wal !== undefined) {
    const inside = join(directory, 'pg_wal');
    await rm(inside, { recursive: true });
    await symlink(wal, inside);
    await mkdir(join(wal, 'archive_status'), { mode: 0o700 });
    own(account, join(wal, 'archive_status'));
  }
  // The server that it was made of may have been a standby.
  await rm(join(directory, 'standby.signal'), { force: true });
}

interface Replay {
  readonly directory: string;
  readonly until: string | undefined;
}

async function replay(deps: RestoreDeps, plan: RestorePlan, { directory, until }: Replay, signal: AbortSignal) {
  const { site, target, directories } = deps;
  const served = new AbortController();
  const exchange = await createWalExchange(site.account, join(site.dataDir, 'restore'), directory, (name, to) =>
    patiently(() => fetchWal(target, plan, { name, to }, signal), signal),
  );
  const serving = exchange.serve(AbortSignal.any([signal, served.signal]));
  try {
    const failed = serving.then(() => new Promise<never>(() => {}));
    await Promise.race([recover(deps, exchange, plan, { directory, until }, signal), failed]);
    const { state } = await directories.control(directory);
    if (state !== 'shut down') throw new MantaError('PostgresStart', `the restored server is "${state}"`);
  } finally {
    served.abort();
    await serving.catch(() => {});
    await exchange.close();
  }
}

/** PostgreSQL's own word for an archive that ends before the wanted time. */
const ENDED_EARLY = 'recovery ended before configured recovery target was reached';

async function recover(
  deps: RestoreDeps,
  { restoreCommand }: WalExchange,
  { path: { timeline } }: RestorePlan,
  { directory, until }: Replay,
  signal: AbortSignal,
): Promise<void> {
  const { logger, site, postmaster } = deps;
  const { account, address } = site;
  const maxPreparedTransactions = await maxPrepared(site, directory);
  const start = async (time: string | undefined) => {
    const files = recoveryConf({ account, address, restoreCommand, timeline, until: time, maxPreparedTransactions });
    for (const [name, text] of Object.entries(files)) await replaceFile(account, join(directory, name), text);
    // Ready is what it calls itself only once it is out of recovery.
    await postmaster.start(directory, signal);
  };
  await start(until).catch(async error => {
    if (until === undefined || !String(error).includes(ENDED_EARLY)) throw error;
    logger.warn({ until }, 'the archive ends before that time: all of it is restored');
    await postmaster.stop('kill', signal);
    await start(undefined);
  });
  await postmaster.stop('fast', signal);
}

async function maxPrepared({ account, binaries }: BackupSite, directory: string): Promise<string> {
  const { stdout } = await runOrThrow(account, binaries.path('pg_controldata'), ['-D', directory]);
  return /^max_prepared_xacts setting: *(\d+)$/m.exec(stdout)?.[1] ?? '0';
}

const FETCH_DELAYS_MS = [500, 2_000, 5_000, 10_000, 30_000];

/** One failure of the target must not cost a restore that has run for hours. */
async function patiently<Value>(body: () => Promise<Value>, signal: AbortSignal): Promise<Value> {
  for (const delayMs of FETCH_DELAYS_MS) {
    try {
      return await body();
    } catch {
      signal.throwIfAborted();
      await sleep(delayMs, undefined, { signal });
    }
  }
  return body();
}

/** From the target into the exchange: a whole file, or of one in progress as much as there is. */
async function fetchWal(
  target: BackupTarget,
  { system: { segmentBytes } }: RestorePlan,
  { name, to }: { readonly name: string; readonly to: string },
  signal: AbortSignal,
): Promise<boolean> {
  const timeline = parseHistoryFile(name);
  const segment = parseSegmentFile(name, segmentBytes);
  if (timeline === undefined && segment === undefined) return false;
  const content =
    segment === undefined
      ? await target.get(historyPath(timeline ?? 0), signal)
      : await getSegment(target, segment, segmentBytes, signal);
  if (content === undefined) return false;
  await pipeline(content, createWriteStream(to, { mode: 0o600 }), { signal });
  return true;
}

async function getSegment(target: BackupTarget, segment: SegmentName, segmentBytes: number, signal: AbortSignal) {
  const whole = await target.get(segmentPath(segment, segmentBytes), signal);
  if (whole !== undefined) return decompressed(whole);
  const directory = segmentPath(segment, segmentBytes).split('/')[1] ?? '';
  const longest = (await storedSegments(target, directory, segmentBytes, signal))
    .filter(({ number, timeline }) => number === segment.number && timeline === segment.timeline)
    .sort((a, b) => (b.endByte ?? 0) - (a.endByte ?? 0))[0];
  const content = longest && (await target.get(segmentPath(longest, segmentBytes), signal));
  return content && decompressed(content);
}
